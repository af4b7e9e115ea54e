"""The kernels on raw buffers, and the exact results beside them.

A buffer is the address of a contiguous tensor and its number of elements. Kernels know no more of
it, so a test says the order of its elements itself: `in_memory` and `from_memory`.
"""

from math import prod

import torch
import torch.nn.functional as F
from cases import ConvCase

from fastconv.core.extension import _C
from fastconv.core.tensors import buffer

NUMBERS = {getattr(torch, name): number for name, number in _C.DTYPES.items()}
HALVES = (torch.float16, torch.bfloat16)  # test_halves.py
DTYPES = [t for t in NUMBERS if t not in HALVES]

LAYOUTS = {"nchw": (False, False, False), "nhwc": (True, True, True), "mixed": (True, False, True),
           "mixed weight": (False, True, False)}  # fmt: skip
DIRECTIONS = ["forward", "backward_input", "backward_weight"]


def supporting(direction: str, shape: "_C.Conv2dShape", dtype: int = 0) -> list[str]:
    """Names of the paths that support the shape, in order."""
    return [a.name for a in _C.conv2d_explain(direction, dtype, shape) if a.supported]


def plain_sums(direction: str) -> list[str]:
    """Names of the paths whose every result is the sum of its own products alone."""
    shape = _C.Conv2dShape((1, 1, 1, 1), (1, 1, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1)
    return [a.name for a in _C.conv2d_explain(direction, 0, shape) if a.is_plain_sum]


def in_memory(t: torch.Tensor, channels_last: bool) -> torch.Tensor:
    """A contiguous tensor of the elements of `t`, in the order that they have in that layout."""
    return (t.permute(0, 2, 3, 1) if channels_last else t).contiguous()


def from_memory(t: torch.Tensor, size: tuple, channels_last: bool) -> torch.Tensor:
    """(N, C, H, W), as a view of the elements in the order that they have in that layout."""
    n, c, h, w = size
    return t.view(n, h, w, c).permute(0, 3, 1, 2) if channels_last else t.view(size)


def unwritten(size: tuple, dtype: torch.dtype) -> torch.Tensor:
    return torch.full((prod(size),), float("nan"), dtype=dtype)


def assert_same(ours: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal numbers, and NaN in the same places."""
    torch.testing.assert_close(ours, expected, rtol=0, atol=0, equal_nan=True)


class Conv:
    """One case: inputs, the exact results, the bounds, and the kernels on raw buffers."""

    def __init__(self, case: ConvCase, dtype: torch.dtype, layout: str):
        self.case, self.dtype, self.last = case, dtype, LAYOUTS[layout]
        x, w = torch.randn(case.input_size, dtype=dtype), torch.randn(case.weight_size, dtype=dtype)
        bias = torch.randn(case.OC, dtype=dtype)
        self.shape = _C.Conv2dShape(case.input_size, case.weight_size, case.stride, case.padding,
                                    case.dilation, case.groups, *self.last)  # fmt: skip
        self.y_size = (case.N, case.OC, self.shape.OH, self.shape.OW)
        grad_y = torch.randn(self.y_size, dtype=dtype)
        self.tensors = x, w, bias, grad_y
        self.exact = self.reference(x, w, bias, grad_y)
        self.magnitude = self.reference(x.abs(), w.abs(), bias.abs(), grad_y.abs())
        self.x, self.w, self.bias = in_memory(x, self.last[0]), in_memory(w, self.last[1]), bias
        self.grad_y = in_memory(grad_y, self.last[2])

    def reference(self, x, w, bias, grad_y) -> dict[str, torch.Tensor]:
        case, top, bottom, left, right = self.case, *self.case.padding
        x, w, bias = (t.double().clone().requires_grad_() for t in (x, w, bias))
        if case.IC == 0:  # torch gives such an output no channels
            y = bias[None, :, None, None].expand(self.y_size)
            return {
                "forward": y.detach(),
                "backward_input": x.detach(),
                "backward_weight": w.detach(),
                "bias": grad_y.double().sum((0, 2, 3)),
            }
        y = F.conv2d(
            F.pad(x, (left, right, top, bottom)),
            w,
            bias,
            case.stride,
            0,
            case.dilation,
            case.groups,
        )
        y.backward(grad_y.double())
        return {
            "forward": y.detach(),
            "backward_input": x.grad,
            "backward_weight": w.grad,
            "bias": bias.grad,
        }

    def terms(self, direction: str) -> int:
        case, shape = self.case, self.shape
        if direction == "forward":
            return shape.terms + 1
        if direction == "backward_input":
            return case.OC // case.groups * case.KH * case.KW
        return case.N * shape.OH * shape.OW

    def run(
        self,
        direction: str,
        path: str,
        threads: int = 2,
        addend: torch.Tensor | None = None,
        **bounds: float,
    ) -> dict[str, torch.Tensor]:
        """`addend`, and the bounds lowest and highest: the epilogue of forward."""
        case, (x_last, w_last, y_last) = self.case, self.last
        dtype, shape = NUMBERS[self.dtype], self.shape
        if direction == "forward":
            y = unwritten(self.y_size, self.dtype)
            if addend is not None:
                added = in_memory(addend, y_last)
                bounds["addend"] = buffer(added)
            _C.conv2d_forward(dtype, shape, buffer(self.x), buffer(self.w), buffer(self.bias),
                              buffer(y), threads, path, **bounds)  # fmt: skip
            return {"forward": from_memory(y, self.y_size, y_last)}
        if direction == "backward_input":
            grad_x = unwritten(case.input_size, self.dtype)
            _C.conv2d_backward_input(dtype, shape, buffer(self.grad_y), buffer(self.w),
                                     buffer(grad_x), threads, path)  # fmt: skip
            return {"backward_input": from_memory(grad_x, case.input_size, x_last)}
        grad_w = unwritten(case.weight_size, self.dtype)
        grad_bias = unwritten((case.OC,), self.dtype)
        _C.conv2d_backward_weight(dtype, shape, buffer(self.grad_y), buffer(self.x),
                                  buffer(grad_w), buffer(grad_bias), threads, path)  # fmt: skip
        return {"backward_weight": from_memory(grad_w, case.weight_size, w_last),
                "bias": grad_bias}  # fmt: skip


def multiplies_pairs() -> bool:
    """Whether GEMM convolution multiplies pairs of bfloat16, where denormals count as zero
    (csrc/cpu/simd/pairs.inl)."""
    conv = Conv(ConvCase("", 1, 1, 1, 1, 1, 1, 1), torch.bfloat16, "nchw")
    conv.x[:], conv.w[:], conv.bias[:] = 2.0**-130, 2.0**60, 0
    return conv.run("forward", "gemm")["forward"].item() == 0
