"""Times of our kernels beside torch's, for explain(measure=True). Layer: public, over core.

Both sides take turns in one process, and medians are compared. `python -m benchmarks.layer`
measures more carefully and beside more peers.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor

from fastconv.clock import Call, alternate
from fastconv.core import ops
from fastconv.core.tensors import is_channels_last

aten = torch.ops.aten
SECONDS = 0.4  # of a row


@dataclass(frozen=True)
class Machine:
    """What this machine reaches: multiply-adds a second in a matrix product, bytes in a copy."""

    multiply_adds: float
    bytes: float

    @staticmethod
    def measured() -> "Machine":
        a = torch.rand(1024, 1024)
        rows = torch.rand(2**24)  # 64 MB
        out, copied = torch.empty_like(a), torch.empty_like(rows)
        product, copy = in_turns(lambda: torch.mm(a, a, out=out), lambda: copied.copy_(rows))
        return Machine(1024**3 / product, 2 * rows.nbytes / copy)

    def least_seconds(self, multiply_adds: int, moved: int, arithmetic: bool) -> float:
        """The time of the roofline; pools count memory alone."""
        return max(multiply_adds / self.multiply_adds if arithmetic else 0.0, moved / self.bytes)


def in_turns(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """The median seconds of each, over rounds in which both take a turn."""
    with torch.no_grad():
        seen = alternate({"ours": Call(ours), "torch": Call(theirs)}, SECONDS)
    return statistics.median(seen.times["ours"]), statistics.median(seen.times["torch"])


def _real(t: Tensor | None) -> Tensor | None:
    """A tensor of random numbers with the size, strides and type of one without memory. Indices
    are 0."""
    if t is None:
        return None
    real = torch.empty_strided(t.shape, t.stride(), dtype=t.dtype)
    return real.normal_() if real.is_floating_point() else real.zero_()


def pair_of(
    operator: str, direction: str, tensors: tuple, args: tuple
) -> tuple[Callable[[], object], Callable[[], object]]:
    """A call of ours and one of torch's that compute the same."""
    real = tuple(map(_real, tensors))
    if operator == "conv2d":
        return _convolution(direction, *real, args[:4])
    if operator == "max_unpool":
        return _unpooling(direction, real[0], args[0])
    return _pool(operator, direction, real[0], args)


def _convolution(direction: str, x: Tensor, w: Tensor, bias: Tensor | None, args: tuple):
    stride, (top, bottom, left, right), dilation, groups = args
    padded = x if top == bottom and left == right else _pad(x, (left, right, top, bottom))
    padding = (top, left) if padded is x else (0, 0)
    if direction == "forward":
        return (
            lambda: ops.conv2d(x, w, bias, *args, True),
            lambda: aten.convolution(
                padded, w, bias, stride, padding, dilation, False, (0, 0), groups
            ),
        )
    grad_y = ops.conv2d(x, w, None, *args).normal_()
    mask = [direction == "backward_input", direction == "backward_weight", False]

    def theirs() -> object:
        return aten.convolution_backward(
            grad_y, padded, w, None, stride, padding, dilation, False, (0, 0), groups, mask
        )

    if direction == "backward_input":
        last = is_channels_last(x)
        return lambda: ops.conv2d_backward_input(grad_y, w, tuple(x.shape), *args, last), theirs
    last = is_channels_last(w)
    return (
        lambda: ops.conv2d_backward_weight(grad_y, x, tuple(w.shape), *args, last, False),
        theirs,
    )


def _pad(x: Tensor, amounts: tuple[int, int, int, int]) -> Tensor:
    last = torch.channels_last if is_channels_last(x) else torch.contiguous_format
    return torch.nn.functional.pad(x, amounts).contiguous(memory_format=last)


def _pool(operator: str, direction: str, x: Tensor, args: tuple):
    last, size = is_channels_last(x), tuple(x.shape)
    if operator == "adaptive_max_pool2d":
        size_of_y = args[:1]
        y, codes = ops.adaptive_max_pool2d(x, *size_of_y, True)
        _, indices = aten.adaptive_max_pool2d(x, *size_of_y)
        if direction == "forward":
            return (
                lambda: ops.adaptive_max_pool2d(x, *size_of_y, True),
                lambda: aten.adaptive_max_pool2d(x, *size_of_y),
            )
        return (
            lambda: ops.adaptive_max_pool2d_backward(y, codes, size, *size_of_y, last),
            lambda: aten.adaptive_max_pool2d_backward(y, x, indices),
        )
    if operator == "max_pool2d":
        args = args[:5]
        y, codes = ops.max_pool2d(x, *args, True)
        _, indices = aten.max_pool2d_with_indices(x, *args)
        if direction == "forward":
            return lambda: ops.max_pool2d(x, *args, True), lambda: aten.max_pool2d_with_indices(
                x, *args
            )
        return (
            lambda: ops.max_pool2d_backward(y, codes, size, *args, last),
            lambda: aten.max_pool2d_with_indices_backward(y, x, *args, indices),
        )
    ours, backward, theirs, their_backward = {
        "avg_pool2d": (ops.avg_pool2d, ops.avg_pool2d_backward, aten.avg_pool2d,
                       aten.avg_pool2d_backward),
        "adaptive_avg_pool2d": (ops.adaptive_avg_pool2d, ops.adaptive_avg_pool2d_backward,
                                aten._adaptive_avg_pool2d,
                                lambda y, x, *_: aten._adaptive_avg_pool2d_backward(y, x)),
    }[operator]  # fmt: skip
    if direction == "forward":
        return lambda: ours(x, *args), lambda: theirs(x, *args)
    y = ours(x, *args)
    return lambda: backward(y, size, *args, last), lambda: their_backward(y, x, *args)


def _unpooling(direction: str, x: Tensor, size: tuple):
    """With indices that rise by the same step, as those of a pool nearly do."""
    places, elements = prod(size), prod(x.shape[2:])
    step = torch.arange(elements) * places // elements
    indices = torch.empty_like(x, dtype=torch.int64).copy_(step.view(x.shape[2:]).expand_as(x))
    last = x.dim() == 4 and is_channels_last(x)
    windows = () if len(size) == 2 else ((1, 1, 1), (0, 0, 0))
    theirs = aten.max_unpool2d if len(size) == 2 else aten.max_unpool3d
    if direction == "forward":
        return (
            lambda: ops.max_unpool(x, indices, size),
            lambda: theirs(x, indices, size, *windows),
        )
    y = ops.max_unpool(x, indices, size)
    return (
        lambda: ops.max_unpool_backward(y, indices, last),
        lambda: aten.gather(y.flatten(2), 2, indices.flatten(2)),
    )


def measured(row: Any, direction: str, call: Any, machine: Machine) -> Any:
    """A row of fastconv.explain with its times, for the call that it belongs to and the direction
    of the kernels."""
    ours, theirs = pair_of(call.operator, direction, call.tensors, call.arguments)
    seconds, torch_seconds = in_turns(ours, theirs)
    least = machine.least_seconds(row.multiply_adds, row.bytes, call.operator == "conv2d")
    return replace(
        row, seconds=seconds, torch_seconds=torch_seconds, roofline=min(1.0, least / seconds)
    )
