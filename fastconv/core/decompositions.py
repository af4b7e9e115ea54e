"""The operators as torch's own, for exporters that know torch's alone. Layer:
operators, below ops.py.

`torch.onnx.export` decomposes what it has no node for by torch's table of decompositions, and so
does `ExportedProgram.run_decompositions` with that table. torch.compile keeps the operators one
node each (inductor.py). For the exporter that traces TorchScript, functional asks `exporting` and
leaves the call to torch.
"""

import sys

import torch
from torch import Tensor

from fastconv.core.cpu import code_dtype
from fastconv.core.fallbacks import F


def exporting() -> bool:
    """Whether torch.onnx traces the call to TorchScript, whose nodes it knows as torch's alone."""
    onnx = sys.modules.get("torch.onnx")  # not imported: nobody exports
    return onnx is not None and torch.jit.is_tracing() and onnx.is_in_onnx_export()


def conv2d(x, w, bias, stride, padding, dilation, groups, cache_filters=False) -> Tensor:
    top, bottom, left, right = padding
    if top == bottom and left == right:
        return F.conv2d(x, w, bias, stride, (top, left), dilation, groups)
    return F.conv2d(F.pad(x, (left, right, top, bottom)), w, bias, stride, 0, dilation, groups)


def end_of_fused(y: Tensor, addend: Tensor | None, lowest: float | None, highest: float | None):
    """What conv2d_fused does to the result of conv2d."""
    y = y if addend is None else y + addend
    return y if lowest is None and highest is None else y.clamp(lowest, highest)


def conv2d_fused(x, w, bias, addend, lowest, highest, *args_and_cache) -> Tensor:
    return end_of_fused(conv2d(x, w, bias, *args_and_cache), addend, lowest, highest)


def conv2d_backward_input(
    grad_y, w, x_size, stride, padding, dilation, groups, x_channels_last
) -> Tensor:
    """A transposed convolution, cropped where the padding differs from side to side."""
    top, bottom, left, right = padding
    more = []  # rows and columns beyond the last that grad_y reaches
    for axis, sides in ((0, top + bottom), (1, left + right)):
        reached = (grad_y.shape[2 + axis] - 1) * stride[axis]
        reached += dilation[axis] * (w.shape[2 + axis] - 1) + 1
        more.append(x_size[2 + axis] + sides - reached)
    rest = more, groups, dilation
    if top == bottom and left == right:
        return F.conv_transpose2d(grad_y, w, None, stride, (top, left), *rest)
    whole = F.conv_transpose2d(grad_y, w, None, stride, 0, *rest)
    return whole[:, :, top : top + x_size[2], left : left + x_size[3]]


def max_pool2d(x, kernel, stride, padding, dilation, ceil_mode, with_codes) -> tuple:
    given = (x, kernel, stride, padding, dilation, ceil_mode)
    if not with_codes:
        return F.max_pool2d(*given), x.new_empty(0, dtype=torch.uint8)
    y, indices = F.max_pool2d_with_indices(*given)
    places = []  # kh, kw: where in its window the maximum is
    for axis, place in enumerate((indices // x.shape[3], indices % x.shape[3])):
        first = torch.arange(y.shape[2 + axis], device=x.device) * stride[axis] - padding[axis]
        first = first[:, None] if axis == 0 else first
        places.append((place - first) // dilation[axis])
    return y, (places[0] * kernel[1] + places[1]).to(code_dtype((kernel, stride)))


def avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor) -> Tensor:
    if divisor is not None and not ceil_mode:  # ONNX has no divisor, and torch's exporter drops it
        mean = F.avg_pool2d(x, kernel, stride, padding)
        return mean * (kernel[0] * kernel[1] / divisor)
    return F.avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor)


def adaptive_max_pool2d(x, output_size, with_codes) -> tuple:
    if not with_codes:
        return F.adaptive_max_pool2d(x, output_size), x.new_empty(0, dtype=torch.uint8)
    y, indices = F.adaptive_max_pool2d_with_indices(x, output_size)
    places, longest = [], []  # in the window; its longest extent
    for axis, place in enumerate((indices // x.shape[3], indices % x.shape[3])):
        extent, out = x.shape[2 + axis], output_size[axis]
        first = torch.arange(out, device=x.device) * extent // out
        places.append(place - (first[:, None] if axis == 0 else first))
        longest.append(extent // out + (0 if extent % out == 0 else 2))
    return y, (places[0] * longest[1] + places[1]).to(code_dtype((output_size,)))


def adaptive_avg_pool2d(x, output_size) -> Tensor:
    return F.adaptive_avg_pool2d(x, output_size)


def max_unpool(x, indices, output_size) -> Tensor:
    if len(output_size) == 2:
        return torch.ops.aten.max_unpool2d(x, indices, output_size)
    return torch.ops.aten.max_unpool3d(x, indices, output_size, (1, 1, 1), (0, 0, 0))
