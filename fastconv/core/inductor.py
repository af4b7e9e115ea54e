"""What torch.compile's inductor needs to know of the operators, told once it is loaded: to call
them as they are, and in frozen graphs to fold constants into a convolution. Layer: core, over
decompositions.py.

``y = (conv2d(x, w, bias) - a) * b`` with constants a, b of a channel each, as a batch norm in
evaluation is, becomes ``conv2d(x, w * b, (bias - a) * b)``. torch does the same for its own
convolution under ``torch._inductor.config.freezing``; its patterns name that operator alone.
"""

import sys
from functools import cache

import torch
from torch.fx import Node

from fastconv.core.decompositions import DECOMPOSED

aten = torch.ops.aten
_CONV2D = torch.ops.fastconv.conv2d.default


def prepare() -> None:
    """Tells inductor what it needs to know, if it is loaded.

    It calls an operator as it is by itself, but where the environment variable CI is set it refuses
    an operator that it has no lowering for and torch's table a decomposition of.
    """
    lowering = sys.modules.get("torch._inductor.lowering")  # not imported: it takes seconds
    make_fallback = getattr(lowering, "make_fallback", None)  # absent while the module loads
    if make_fallback is None:
        return
    for operator in DECOMPOSED:
        if operator not in lowering.lowerings:
            make_fallback(operator, lowering.constrain_to_fx_strides, warn=False)
    if "torch._inductor.fx_passes.freezing_patterns" in sys.modules:
        _register_folding()


@cache
def _register_folding() -> None:
    from torch._inductor.fx_passes.freezing_patterns import register_binary_folding_pattern
    from torch._inductor.pattern_matcher import Arg, CallFunction, KeywordArg

    for arguments in (7, 8):  # without and with cache_filters
        conv = CallFunction(_CONV2D, *(Arg() for _ in range(arguments)), _users=1)
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
        folded = node(_CONV2D, x, w, bias, *rest, like=conv)
    binary.replace_all_uses_with(folded)
    graph.erase_node(binary)
    graph.erase_node(conv)
