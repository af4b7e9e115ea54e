"""Which kernel runs each convolution and pool of a model, and why. Layer: public, over functional.

The model runs once, forward, and core/watching.py sees its operators. For each convolution and pool
the path lists of csrc/ are asked, in each direction, without running them.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import prod

import torch
from torch import Tensor, nn

from fastconv import functional
from fastconv.core import ops
from fastconv.core.extension import _C
from fastconv.core.tensors import (
    conv2d_output_size,
    is_channels_last,
    is_output_channels_last,
)
from fastconv.core.watching import Call, watched_calls
from fastconv.functional.dim2 import checked_conv2d
from fastconv.tables import table

DIRECTIONS = ("forward", "backward_input", "backward_weight")


@dataclass(frozen=True)
class Row:
    """One direction of one layer.

    Attributes:
        layer: the module's name in the model, "" for the model itself.
        operator: "conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "adaptive_max_pool2d",
            "adaptive_avg_pool2d" or "max_unpool".
        shape: extents in words, "8x64x28x28 -> 256x28x28, 3x3, padding 1"; for a transposed
            convolution, the extents of the convolution whose gradient it is.
        direction: "forward", "backward_input" or "backward_weight" of convolutions; "forward" or
            "backward" of pools.
        path: name of the path, "pool", or "torch" where the layer is left to torch.
        why: why this path: the estimates that were compared (one thread), and why others cannot
            run it; or why the layer is left to torch.
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


# Direction of a transposed convolution -> direction of the convolution whose kernels run it.
_TRANSPOSED = {"forward": "backward_input", "backward_input": "forward",
               "backward_weight": "backward_weight"}  # fmt: skip


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
    """The path that runs a shape, and why: the estimates that were compared, the least first, and
    what the paths said that cannot run it.
    """
    answers = _C.conv2d_explain(direction, dtype, shape)
    path = next(a for a in answers if a.chosen)
    compared = [a for a in answers if a.nanoseconds is not None and not a.why_not]
    said = []
    if path.nanoseconds is not None:
        compared.sort(key=lambda a: a.nanoseconds)
        said += [f"{a.name} {a.nanoseconds * 1e-6:.3g} ms" for a in compared]
        said[0] = said[0] + " estimated"
    said += [f"not {a.name}: {a.why_not}" for a in answers if a.why_not]
    return path.name, "; ".join(said)


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
    if call.operator == "max_unpool":
        last = x.dim() == 4 and is_channels_last(x)
        shape = ops.unpool_shape(x.shape, call.arguments[0], last)
        y = prod((*x.shape[:2], *call.arguments[0]))
        bytes_ = (x.numel() + y) * size + call.tensors[1].nbytes
        return [Row(call.layer, call.operator, str(shape), direction, "pool", "", 0, 0, bytes_)
                for direction in ("forward", "backward")]  # fmt: skip
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
    (x, w, b), args, reason = checked_conv2d(input, weight, bias, stride, padding, dilation, groups)
    if args is None:
        return {"torch": reason}
    x = x.unsqueeze(0) if x.dim() == 3 else x
    number, threads = _dtype_number(x.dtype), torch.get_num_threads()
    shape = _shape_of(x, w, args)
    said = {}
    for direction in DIRECTIONS:
        workspace = _C.conv2d_workspace_bytes(direction, number, shape, threads)
        said[direction] = f"{path_and_why(direction, number, shape)[0]}, {workspace} bytes"
    if w is weight and not functional.tracked(x, w, b) and ops.caches_filters(w):
        workspace, filters = _C.conv2d_bytes_with_cached_filters(number, shape, threads)
        if filters:
            path, _ = path_and_why("forward", number, shape)
            said["forward"] = f"{path}, {workspace} bytes, {filters} bytes of filters kept"
    return said
