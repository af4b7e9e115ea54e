"""What torch.compile's inductor needs to know of the operators, told once it is loaded: to call
them as they are, in frozen graphs to fold constants into a convolution, and in every graph to end a
convolution with what follows it. Layer: operators, below operators.py.

``y = (conv2d(x, w, bias) - a) * b`` with constants a, b of a channel each, as a batch norm in
evaluation is, becomes ``conv2d(x, w * b, (bias - a) * b)``. torch does the same for its own
convolution under ``torch._inductor.config.freezing``; its patterns name that operator alone.

``clamp(conv2d(x, w, bias) + addend)``, where each step has no other user, becomes one conv2d_fused.
The sum and the clamp (ReLU, ReLU6, any bounds) may each be missing. This happens after autograd has
split the graph, so the graph of a training step may have it, too.
"""

import sys
from functools import cache
from typing import NamedTuple

import torch
from torch.fx import Node

aten = torch.ops.aten
KEPT: list[torch._ops.OpOverload] = []  # operators that torch's table has a decomposition of


def prepare() -> None:
    """Tells inductor what it needs to know, if it is loaded.

    It calls an operator as it is by itself, but where the environment variable CI is set it refuses
    an operator that it has no lowering for and torch's table a decomposition of.
    """
    lowering = sys.modules.get("torch._inductor.lowering")  # not imported: it takes seconds
    make_fallback = getattr(lowering, "make_fallback", None)  # absent while the module loads
    if make_fallback is None:
        return
    for operator in KEPT:
        if operator not in lowering.lowerings:
            make_fallback(operator, lowering.constrain_to_fx_strides, warn=False)
    if "torch._inductor.fx_passes.freezing_patterns" in sys.modules:
        _register_folding()
    if "torch._inductor.fx_passes.post_grad" in sys.modules:
        _register_epilogues()


@cache
def _register_folding() -> None:
    from torch._inductor.fx_passes.freezing_patterns import register_binary_folding_pattern
    from torch._inductor.pattern_matcher import Arg, CallFunction, KeywordArg

    conv2d = torch.ops.fastconv.conv2d.default
    for arguments in (7, 8):  # without and with cache_filters
        conv = CallFunction(conv2d, *(Arg() for _ in range(arguments)), _users=1)
        for operator in (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor):
            pattern = CallFunction(operator, conv, KeywordArg("other"))
            register_binary_folding_pattern(pattern, extra_check=_is_foldable)(_fold)


def _is_constant(node: object) -> bool:
    return isinstance(node, Node) and node.op == "get_attr"


def _is_foldable(match) -> bool:
    """Whether weight, bias and the other operand are constants of one type, the operand with one
    number for each output channel, and the weight is no other node's."""
    binary = match.output_node()
    (_, w, bias, *_), other = binary.args[0].args, binary.args[1]
    constants = (w, other) if bias is None else (w, bias, other)
    if not all(_is_constant(n) for n in constants) or len(w.users) != 1 or binary.kwargs:
        return False
    values = [n.meta["val"] for n in constants]
    size, channels = tuple(values[-1].shape), values[0].shape[0]
    one_dtype = len({v.dtype for v in values}) == 1 and values[0].is_floating_point()
    return one_dtype and size in ((channels, 1, 1), (1, channels, 1, 1))


def _fold(match, *_, other: Node) -> None:
    from torch._dynamo.utils import counters

    counters["inductor"]["binary_folding"] += 1  # or inductor does not look again
    binary, graph = match.output_node(), match.graph
    conv = binary.args[0]
    x, w, bias, *rest = conv.args

    def node(function, *args, like: Node) -> Node:
        made = graph.create_node("call_function", function, args)
        made.meta.update(like.meta)
        return made

    with graph.inserting_before(binary):
        flat = graph.create_node("call_function", aten.reshape.default, (other, (-1,)))
        if binary.target in (aten.mul.Tensor, aten.div.Tensor):
            column = graph.create_node(
                "call_function", aten.reshape.default, (other, (-1, 1, 1, 1))
            )
            w = node(binary.target, w, column, like=w)
            bias = None if bias is None else node(binary.target, bias, flat, like=bias)
        elif bias is not None:
            bias = node(binary.target, bias, flat, like=bias)
        elif binary.target is aten.sub.Tensor:
            bias = graph.create_node("call_function", aten.neg.default, (flat,))
        else:
            bias = flat
        folded = node(conv.target, x, w, bias, *rest, like=conv)
    binary.replace_all_uses_with(folded)
    graph.erase_node(binary)
    graph.erase_node(conv)


# ---- conv2d, add, clamp -> conv2d_fused ----------------------------------------------------------


@cache
def _register_epilogues() -> None:
    from torch._inductor.fx_passes.post_grad import pass_patterns
    from torch._inductor.pattern_matcher import Arg, CallFunction, register_graph_pattern

    for arguments in (7, 8):  # without and with cache_filters
        conv = CallFunction(torch.ops.fastconv.conv2d.default, *(Arg() for _ in range(arguments)))
        register_graph_pattern(conv, extra_check=_has_end, pass_dict=pass_patterns[-1])(_fuse)


class _End(NamedTuple):
    """The nodes from a convolution to the last that its epilogue takes in, and the epilogue."""

    nodes: list[Node]
    addend: Node | None
    lowest: float | None
    highest: float | None


def _only_user(node: Node) -> Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _alike(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether type, device, extents and strides are the same. Of symbols no guard is made."""

    def numbers(t: torch.Tensor) -> list:
        return [n.node.expr if isinstance(n, torch.SymInt) else n for n in (*t.shape, *t.stride())]

    return (a.dtype, a.device) == (b.dtype, b.device) and numbers(a) == numbers(b)


def _addend(add: Node | None, conv: Node) -> Node | None:
    """The other operand of a sum with the result of a convolution."""
    if add is None or add.target is not aten.add.Tensor or add.kwargs:
        return None
    others = [n for n in add.args if n is not conv]
    if len(others) != 1 or not isinstance(others[0], Node):  # none: the result added to itself
        return None
    value = others[0].meta.get("val")
    is_tensor = isinstance(value, torch.Tensor)
    return others[0] if is_tensor and _alike(value, conv.meta["val"]) else None


_CLAMPS = {  # operator -> of its arguments (lowest, highest)
    aten.relu.default: lambda _: (0.0, None),
    aten.clamp_min.default: lambda _, lowest: (lowest, None),
    aten.clamp_max.default: lambda _, highest: (None, highest),
    aten.clamp.default: lambda _, lowest=None, highest=None: (lowest, highest),
}


def _bounds(clamp: Node | None) -> tuple | None:
    """(lowest, highest) of a node that clamps; None where there is no bound, or no clamp."""
    if clamp is None or clamp.target not in _CLAMPS or clamp.kwargs:
        return None
    bounds = _CLAMPS[clamp.target](*clamp.args)
    numbers = all(b is None or (isinstance(b, (int, float)) and b == b) for b in bounds)
    return bounds if numbers else None


def _end(conv: Node) -> _End:
    nodes, lowest, highest = [conv], None, None
    if conv.meta["val"].device.type != "cpu":
        return _End(nodes, None, None, None)
    addend = _addend(_only_user(conv), conv)
    if addend is not None:
        nodes.append(_only_user(conv))
    if bounds := _bounds(_only_user(nodes[-1])):
        lowest, highest = bounds
        nodes.append(_only_user(nodes[-1]))
        more = _bounds(_only_user(nodes[-1]))
        if highest is None and more and more[0] is None:  # ReLU6: first the one, then the other
            highest = more[1]
            nodes.append(_only_user(nodes[-1]))
    return _End(nodes, addend, lowest, highest)


def _has_end(match) -> bool:
    conv = match.output_node()
    *_, last = _end(conv).nodes
    same_place = conv.meta.get("mutation_region_id") == last.meta.get("mutation_region_id")
    return last is not conv and same_place and _alike(last.meta["val"], conv.meta["val"])


def _fuse(match, *_) -> None:
    conv, graph = match.output_node(), match.graph
    nodes, *epilogue = _end(conv)
    x, w, bias, *rest = conv.args
    with graph.inserting_before(nodes[-1]):
        fused = graph.create_node(
            "call_function",
            torch.ops.fastconv.conv2d_fused.default,
            (x, w, bias, *epilogue, *rest),
        )
    fused.meta.update(nodes[-1].meta)
    nodes[-1].replace_all_uses_with(fused)
    for node in reversed(nodes):
        graph.erase_node(node)
