"""Which kernel runs each convolution and pool of a model, and why. Layer: public, over functional.

The model runs once, forward, under a dispatch mode that sees every operator. For each convolution
and pool that it sees, the path lists of csrc/ are asked, in each direction, without running them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fastconv import functional
from fastconv.core import arguments, ops
from fastconv.core.extension import _C
from fastconv.core.tensors import (
    conv2d_output_size,
    is_channels_last,
    is_output_channels_last,
)
from fastconv.tables import table

DIRECTIONS = ("forward", "backward_input", "backward_weight")


@dataclass(frozen=True)
class Row:
    """One direction of one layer.

    Attributes:
        layer: the module's name in the model, "" for the model itself.
        operator: "conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "adaptive_max_pool2d" or
            "adaptive_avg_pool2d".
        shape: extents in words, "8x64x28x28 -> 256x28x28, 3x3, padding 1"; of a transposed
            convolution those of the convolution that it is the gradient of.
        direction: "forward", "backward_input" or "backward_weight" of convolutions; "forward" or
            "backward" of pools.
        path: name of the path, "pool", or "torch" where the layer is left to torch.
        why: why this path: what the paths before it said, or why the layer is left to torch.
        workspace: bytes.
        multiply_adds: of the direction; comparisons or additions of a pool.
        bytes: of the tensors that the direction must read and write once.
        seconds, torch_seconds: medians, where measured: ours and torch's in the same layout.
        roofline: where measured, the share of the time that arithmetic at the speed of a matrix
            product, or memory at the speed of a copy, would take at least.
    """

    layer: str
    operator: str
    shape: str
    direction: str
    path: str
    why: str
    workspace: int
    multiply_adds: int
    bytes: int
    seconds: float | None = None
    torch_seconds: float | None = None
    roofline: float | None = None

    @property
    def ratio(self) -> float | None:
        """torch's time over ours: above 1, ours is faster."""
        measured = self.seconds and self.torch_seconds
        return self.torch_seconds / self.seconds if measured else None


@dataclass(frozen=True)
class Explanation:
    """Rows of a model, in the order of its calls. `str` makes a table of it.

    Attributes:
        rows: a :class:`fastconv.explain.Row` for each layer and direction.
    """

    rows: tuple[Row, ...]

    def as_dicts(self) -> list[dict]:
        """The rows as dictionaries with their ratio, for JSON or a data frame."""
        return [asdict(row) | {"ratio": row.ratio} for row in self.rows]

    def __str__(self) -> str:
        measured = any(row.seconds is not None for row in self.rows)
        header = ["layer", "operator", "shape", "direction", "path", "workspace", "multiply-adds"]
        header += ["ms", "torch / ours", "roofline"] if measured else []
        lines = [[*header, "why"]]
        for r in self.rows:
            line = [r.layer, r.operator, r.shape, r.direction, r.path]
            line += [f"{r.workspace:,}", f"{r.multiply_adds:,}"]
            if measured and r.seconds is None:
                line += ["", "", ""]
            elif measured:
                line += [f"{1e3 * r.seconds:.3f}", f"{r.ratio:.2f}", f"{100 * r.roofline:.0f} %"]
            lines.append([*line, r.why])
        return table(lines)


@dataclass(frozen=True)
class Call:
    """A convolution or pool that was seen; `arguments`: what follows its tensors."""

    layer: str
    operator: str
    tensors: tuple[Tensor, ...]  # on the meta device, with strides
    arguments: tuple
    left_to_torch: str = ""  # why
    transposed: bool = False  # forward is backward_input of the convolution that the rest describes


# Direction of a transposed convolution -> that of the convolution whose kernels run it.
_TRANSPOSED = {"forward": "backward_input", "backward_input": "forward",
               "backward_weight": "backward_weight"}  # fmt: skip


# aten's operators that a fastconv layer would have taken: name -> the operator of ours.
_ATEN = {
    "aten::convolution": "conv2d",
    "aten::max_pool2d_with_indices": "max_pool2d",
    "aten::max_pool2d": "max_pool2d",
    "aten::adaptive_max_pool2d": "adaptive_max_pool2d",
    "aten::avg_pool2d": "avg_pool2d",
    "aten::_adaptive_avg_pool2d": "adaptive_avg_pool2d",
    "aten::mean": "",
}
_OURS = (
    "conv2d", "max_pool2d", "adaptive_max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"
)  # fmt: skip


class _Watch(TorchDispatchMode):
    """Collects the calls; `names` is the stack of the modules that run."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names, self.calls = names, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        namespace, _, name = function.name().partition("::")
        name = name.partition(".")[0]
        if namespace == "fastconv" and name in _OURS:
            count = 3 if name == "conv2d" else 1
            self._add(name, args[:count], args[count:])
        elif namespace == "fastconv" and name == "conv2d_backward_input":
            self._add_transposed(*args[:3], args[3:7], args[7])
        elif _ATEN.get(f"{namespace}::{name}"):
            ours = _ATEN[f"{namespace}::{name}"]
            count = 3 if ours == "conv2d" else 1
            self._add(ours, args[:count], args[count:], self._why_torch(args[0], args))
        return function(*args, **(kwargs or {}))

    def _add(self, operator: str, tensors: tuple, rest: tuple, why: str = "") -> None:
        kept = tuple(t.detach().to("meta") if isinstance(t, Tensor) else None for t in tensors)
        layer = self.names[-1] if self.names else ""
        self.calls.append(Call(layer, operator, kept, tuple(map(_tuple, rest)), why))

    def _add_transposed(self, x: Tensor, w: Tensor, y_size, args: tuple, last: bool) -> None:
        memory_format = torch.channels_last if last else torch.contiguous_format
        y = torch.empty(tuple(y_size), dtype=x.dtype, device="meta", memory_format=memory_format)
        self._add("conv2d", (y, w, None), args)
        self.calls[-1] = replace(self.calls[-1], transposed=True)

    @staticmethod
    def _why_torch(x: Tensor, args: tuple) -> str:
        if x.dim() not in (3, 4):
            return f"{x.dim() - 2}-dimensional"
        if len(args) > 6 and args[6] is True:
            return "a transposed convolution"
        reason = arguments.refusal(*(t for t in args[:2] if isinstance(t, Tensor)))
        return reason or "torch's own layer or function was called: fastconv.convert(model)"


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@contextmanager
def _named(model: nn.Module, names: list[str]) -> Iterator[None]:
    """Keeps the names of the modules that run in `names`."""
    hooks = []

    def left(*_: object) -> None:
        names.pop()

    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, name=name: names.append(name)))
        hooks.append(module.register_forward_hook(left, always_call=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def watched_calls(model: nn.Module, inputs: tuple) -> list[Call]:
    """The convolutions and pools of one forward run, in evaluation mode and without gradients."""
    names: list[str] = []
    training = {module: module.training for module in model.modules()}
    watch = _Watch(names)
    try:
        model.eval()
        with torch.no_grad(), _named(model, names), watch:
            model(*inputs)
    finally:
        for module, mode in training.items():
            module.training = mode
    return watch.calls


def _shape_of(x: Tensor, w: Tensor, args: tuple) -> "_C.Conv2dShape":
    y_size = conv2d_output_size(x.shape, w.shape, args)
    y_last = is_output_channels_last(x, w, y_size, args[3])
    return ops.conv2d_shape(
        x.shape, w.shape, args, is_channels_last(x), is_channels_last(w), y_last
    )


def _conv_shape(call: Call) -> "_C.Conv2dShape":
    x, w = call.tensors[:2]
    args = call.arguments[:4]
    return _shape_of(x, w, args)


def _dtype_number(dtype: torch.dtype) -> int:
    return ops.KERNEL_DTYPES.get(dtype, ops.KERNEL_DTYPES[torch.float32])


def path_and_why(direction: str, dtype: int, shape: "_C.Conv2dShape") -> tuple[str, str]:
    """The path that runs a shape, and what the paths before it said."""
    before = []
    for answer in _C.conv2d_explain(direction, dtype, shape):
        if not answer.why_not:
            return answer.name, "; ".join(before)
        before.append(f"not {answer.name}: {answer.why_not}")
    raise AssertionError("the last path supports every shape")


def _rows_of(call: Call) -> list[Row]:
    x = call.tensors[0]
    if call.left_to_torch:
        shape = "x".join(map(str, x.shape))
        why = call.left_to_torch
        return [Row(call.layer, call.operator, shape, "forward", "torch", why, 0, 0, 0)]
    threads, size = torch.get_num_threads(), x.element_size()
    if call.operator == "conv2d":
        shape, number = _conv_shape(call), _dtype_number(x.dtype)
        counts = x.numel() + call.tensors[1].numel() + shape.N * shape.OC * shape.OH * shape.OW
        operator, rows = "conv_transpose2d" if call.transposed else "conv2d", []
        for of_layer in DIRECTIONS:
            direction = _TRANSPOSED[of_layer] if call.transposed else of_layer
            path, why = path_and_why(direction, number, shape)
            workspace = _C.conv2d_workspace_bytes(direction, number, shape, threads)
            rows.append(Row(call.layer, operator, str(shape), of_layer, path, why, workspace,
                            shape.multiply_adds, counts * size))  # fmt: skip
        return rows
    adaptive = call.operator.startswith("adaptive")
    most = 1 if adaptive else 5 if call.operator == "max_pool2d" else 6
    args = call.arguments[:most]
    shape = ops.pool2d_shape(x.shape, args, is_channels_last(x))
    y = shape.N * shape.C * shape.OH * shape.OW
    window = x.numel() if adaptive else y * shape.KH * shape.KW
    return [Row(call.layer, call.operator, str(shape), direction, "pool", "", 0, window,
                (x.numel() + y) * size) for direction in ("forward", "backward")]  # fmt: skip


def _direction(row: Row, call: Call) -> str:
    return _TRANSPOSED[row.direction] if call.transposed else row.direction


def explain(
    model: nn.Module | Tensor,
    *inputs: object,
    measure: bool = False,
    progress: Callable | None = None,
    **keywords: object,
) -> "Explanation | dict[str, str]":
    """How fastconv computes a model, a layer, or one call of conv2d.

    ``explain(model, *inputs)`` runs the model once, forward, and gives an :class:`Explanation`:
    layer by layer and direction by direction the path and the reason for it, workspace and
    multiply-adds. With ``measure=True`` each row is timed beside torch's function in the same
    layout, in turns in one process.

    ``explain(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)`` takes the
    arguments of :func:`fastconv.functional.conv2d` and gives ``{direction: "path, workspace in
    bytes"}`` without running it, or ``{"torch": reason}`` where the call is left to torch. Where no
    gradient would be recorded and forward keeps its transformed filters, their bytes follow.

    Args:
        model: a module; or a tensor, the input of a convolution.
        inputs: what the module is called with.
        measure: time every row. It takes about half a second for each.
        progress: wraps the list of rows that are timed, for instance ``tqdm.tqdm``.

    Raises:
        TypeError: keywords beside a module.

    Examples:
        >>> model = fastconv.Conv2d(1, 1, 3)
        >>> rows = fastconv.explain(model, torch.ones(1, 1, 4, 4)).rows
        >>> [(row.direction, row.path) for row in rows]
        [('forward', 'tiny'), ('backward_input', 'tiny'), ('backward_weight', 'tiny')]
        >>> list(fastconv.explain(torch.ones(1, 3, 8, 8), model.weight))
        ['torch']
    """
    if isinstance(model, Tensor):
        return _explain_call(model, *inputs, **keywords)
    if keywords:
        raise TypeError(f"explain() got an unexpected keyword argument {next(iter(keywords))!r}")
    calls = watched_calls(model, inputs)
    pairs = [(call, row) for call in calls for row in _rows_of(call)]
    if measure:
        from fastconv import timing  # and what it imports, only when something is timed

        machine = timing.Machine.measured()
        pairs = [
            (
                call,
                row
                if row.path == "torch"
                else timing.measured(row, _direction(row, call), call, machine),
            )
            for call, row in (progress or iter)(pairs)
        ]
    return Explanation(tuple(row for _, row in pairs))


def _explain_call(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: functional.IntOrPair = 1,
    padding: functional.IntOrPair | str = 0,
    dilation: functional.IntOrPair = 1,
    groups: int = 1,
) -> dict[str, str]:
    given = (input, weight) if bias is None else (input, weight, bias)
    reason = arguments.refusal(*given)
    if reason is not None:
        return {"torch": reason}
    x = input.unsqueeze(0) if input.dim() == 3 else input
    bias_size = None if bias is None else bias.shape
    args = arguments.conv2d_args(
        x.shape, weight.shape, bias_size, stride, padding, dilation, groups
    )
    if args is None:
        return {"torch": "arguments"}
    number, threads = _dtype_number(x.dtype), torch.get_num_threads()
    shape = _shape_of(x, weight, args)
    said = {}
    for direction in DIRECTIONS:
        workspace = _C.conv2d_workspace_bytes(direction, number, shape, threads)
        said[direction] = f"{path_and_why(direction, number, shape)[0]}, {workspace} bytes"
    if not functional.tracked(*given) and ops.caches_filters(weight):
        workspace, filters = _C.conv2d_bytes_with_kept_filters(number, shape, threads)
        if filters:
            path, _ = path_and_why("forward", number, shape)
            said["forward"] = f"{path}, {workspace} bytes, {filters} bytes of filters kept"
    return said
