"""Microseconds per call on a 1x1x8x8 input, where kernels cost next to nothing, layer by layer of
the stack: what a call costs before anything is computed.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

import fastconv
from benchmarks.harness.timing import Call, measure
from fastconv import functional
from fastconv.core import autograd, eager, ops
from fastconv.core.extension import _C
from fastconv.core.tensors import buffer

aten = torch.ops.aten
CALLS = 100
ARGS = ((1, 1), (0, 0, 0, 0), (1, 1), 1)  # stride, padding, dilation, groups of the kernels
WINDOW = ((2, 2), (2, 2), (0, 0), (1, 1), False)
Row = tuple[str, str, Callable, Callable | None]  # what, layer of the stack, ours, torch's


def _repeated(function: Callable) -> Callable[[], None]:
    def run() -> None:
        for _ in range(CALLS):
            function()

    return run


def _binding(x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor) -> Callable:
    """The kernel alone, through pybind11, into memory that is there already."""
    shape = ops.conv2d_shape(x.shape, w.shape, ARGS, False, False, False)
    y = torch.empty(1, 1, 6, 6)
    buffers = [buffer(t) for t in (x, w, bias, y)]
    return lambda: _C.conv2d_forward(_C.DTYPES["float32"], shape, *buffers, 1) or y


def _rows() -> list[Row]:
    x, w, bias = torch.randn(1, 1, 8, 8), torch.randn(1, 1, 3, 3), torch.randn(1)
    leaves = tuple(t.clone().requires_grad_() for t in (x, w, bias))
    xg, grad_y, grad_p = leaves[0], torch.randn(1, 1, 6, 6), torch.randn(1, 1, 4, 4)
    ours, theirs = fastconv.Conv2d(1, 1, 3), torch.nn.Conv2d(1, 1, 3)
    pool, their_pool = fastconv.MaxPool2d(2), torch.nn.MaxPool2d(2)
    torchs = partial(aten.convolution, x, w, bias, (1, 1), (0, 0), (1, 1), False, (0, 0), 1)
    given, plain = (x, w, bias), (1, 0, 1, 1)

    def short(*tensors: torch.Tensor) -> Callable | None:
        return partial(eager.conv2d, *tensors, *plain) if eager.hosts else None

    rows = [
        ("conv2d", "kernel and binding", _binding(*given), None),
        ("conv2d", "torch.ops", partial(torch.ops.fastconv.conv2d, *given, *ARGS), torchs),
        ("conv2d", "plain call of ops", partial(ops.conv2d, *given, *ARGS), None),
        ("conv2d", "eager short way", short(*given), None),
        ("conv2d", "functional", partial(functional.conv2d, *given), partial(F.conv2d, *given)),
        ("conv2d with gradients", "Function",
         partial(autograd.Conv2d.apply, *leaves, ARGS), None),
        ("conv2d with gradients", "eager short way", short(*leaves), None),
        ("conv2d with gradients", "functional", partial(functional.conv2d, *leaves),
         partial(F.conv2d, *leaves)),
        ("conv2d with gradients", "module", partial(ours, x), partial(theirs, x)),
        ("conv2d with gradients", "and backward",
         lambda: torch.autograd.grad(functional.conv2d(*leaves), leaves, grad_y),
         lambda: torch.autograd.grad(F.conv2d(*leaves), leaves, grad_y)),
        ("max_pool2d", "torch.ops", partial(torch.ops.fastconv.max_pool2d, x, *WINDOW, True),
         partial(aten.max_pool2d_with_indices, x, *WINDOW)),
        ("max_pool2d", "module", partial(pool, x), partial(their_pool, x)),
        ("max_pool2d with gradients", "and backward",
         lambda: torch.autograd.grad(functional.max_pool2d(xg, 2), xg, grad_p),
         lambda: torch.autograd.grad(F.max_pool2d(xg, 2), xg, grad_p)),
    ]  # fmt: skip
    for name in ("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"):
        for t, suffix in ((x, ""), (xg, " with gradients")):
            pair = (partial(getattr(where, name), t, 2) for where in (functional, F))
            rows.append((name + suffix, "functional", *pair))
    return [row for row in rows if row[2] is not None]


def measure_overhead(job: dict, seconds: float) -> dict:
    """A row of the result that holds all calls."""
    rows = _rows()
    calls = []
    for what, layer, ours, theirs in rows:
        pair = {"fastconv": Call(_repeated(ours))}
        if theirs:
            pair["torch"] = Call(_repeated(theirs))
        measured = measure(pair, max(0.5, seconds / len(rows)))
        micros = {name: [t / CALLS * 1e6 for t in measured.seconds(name)] for name in pair}
        entry = {"what": what, "layer": layer, "microseconds": micros, "noisy": measured.noisy}
        if theirs:
            entry["ratio"] = list(measured.ratio("fastconv", "torch"))
        calls.append(entry)
    return {"stage": job["stage"], "threads": job["threads"], "calls": calls}
