"""Convolution and pooling of rows, with the signatures of torch.nn.functional. A row is an image of
height 1, and a window of K is a window of 1 x K. Layer: functional, over dim2.py and dim2_pool.py.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.overrides import has_torch_function

from fastconv.core.arguments import (
    adaptive_args,
    avg_pool2d_args,
    conv2d_args,
    is_given,
    max_pool2d_args,
    refusal,
)
from fastconv.core.fallbacks import F, to_torch
from fastconv.core.overrides import overridden, with_indices
from fastconv.core.tensors import size_of
from fastconv.functional import dim2, dim2_pool

IntOrSingle = int | tuple[int, ...] | list[int]


def single(value: object) -> object:
    """v of (v,) or [v], as torch takes int[1]; anything else as it is."""
    if isinstance(value, (tuple, list)) and len(value) == 1:
        return value[0]
    return value


def row_size(t: Tensor) -> tuple:
    *leading, width = size_of(t)
    return (*leading, 1, width)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrSingle = 1,
    padding: IntOrSingle | str = 0,
    dilation: IntOrSingle = 1,
    groups: int = 1,
) -> Tensor:
    """1-D convolution (cross-correlation), as :func:`torch.nn.functional.conv1d`.

    ``y[n,oc,ow] = bias[oc] + sum over ic,kw of weight[oc,ic,kw] * x[n,ic,iw]`` with ``iw = ow *
    stride + kw * dilation - padding``, and ``x = 0`` outside the row.

    Args:
        stride: pixels from one window to the next, 1 or more.
        padding: zeros on each side; "same" for an output of the input's size, with stride 1; or
            "valid" for none.
        dilation: pixels from one place of the kernel to the next.
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC.

    Shapes:
        input: (N, IC, IW) or (IC, IW)
        weight: (OC, IC / groups, KW)
        bias: (OC,)
        output: (N, OC, OW), OW = (IW + 2 * padding - dilation * (KW - 1) - 1) // stride + 1;
            contiguous

    Types, devices and errors as in :func:`fastconv.functional.conv2d`.

    Examples:
        >>> x, w = torch.ones(1, 1, 4), torch.ones(1, 1, 3)
        >>> fastconv.functional.conv1d(x, w)[0, 0]
        tensor([3., 3.])
    """
    given = (input, weight, bias)
    if has_torch_function(given):
        return overridden(conv1d, given, *given, stride, padding, dilation, groups)
    reason = dim2.refused(*given)
    if reason == "dtype" and torch.is_autocast_enabled("cpu"):
        reason = None  # conv2d makes them one type
    if reason is None:
        strides, dilations = (1, single(stride)), (1, single(dilation))
        paddings = padding if isinstance(padding, str) else (0, single(padding))
        if _is_taken(input, weight, bias, strides, paddings, dilations, groups):
            rows, filters = input.unsqueeze(-2), weight.unsqueeze(-2)
            y = dim2.conv2d(rows, filters, bias, strides, paddings, dilations, groups)
            return y.squeeze(-2).contiguous()
        reason = "arguments"
    return to_torch(F.conv1d, reason, *given, stride, padding, dilation, groups)


def _is_taken(input, weight, bias, *arguments) -> bool:
    """Whether conv2d has a kernel for it; else torch's conv1d decides, with its own errors."""
    if input.dim() not in (2, 3) or weight.dim() != 3:
        return False
    bias_size = None if bias is None else size_of(bias)
    return conv2d_args(_batched(input), row_size(weight), bias_size, *arguments) is not None


def _batched(input: Tensor) -> tuple:
    return row_size(input) if input.dim() == 3 else (1, *row_size(input))


def _why_not(input: Tensor, checked: Callable, *arguments: object) -> str | None:
    """Why the kernels do not pool these rows; None if they do."""
    reason = refusal(input)
    if reason is None and input.dim() not in (2, 3):
        reason = "arguments"
    if reason is None and checked(_batched(input), *arguments) is None:
        reason = "arguments"
    return reason


def _windows(kernel_size: object, stride: object, padding: object) -> tuple:
    strides = (1, single(stride)) if is_given(stride) else None
    return (1, single(kernel_size)), strides, (0, single(padding))


def _pooled(pool: Callable, input: Tensor, *arguments: object) -> Tensor:
    """A pool of dim2_pool on rows."""
    return pool(input.unsqueeze(-2), *arguments).squeeze(-2).contiguous()


def max_pool1d(
    input: Tensor,
    kernel_size: IntOrSingle,
    stride: IntOrSingle | None = None,
    padding: IntOrSingle = 0,
    dilation: IntOrSingle = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """1-D max pooling, as :func:`torch.nn.functional.max_pool1d`.

    ``y[n,c,ow] = max over the window of x[n,c,iw]``; with ``return_indices`` also int64 indices
    ``iw`` of the maxima. Ties and NaNs as in :func:`fastconv.functional.max_pool2d`.

    Args:
        kernel_size: extents of the window, one number or (KW,).
        stride: pixels from one window to the next; None for the window's extents.
        padding: border on each side, at most half the window; it is never the maximum.
        dilation: pixels from one place of the window to the next.
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts.
        return_indices: whether to return the places of the maxima, too.

    Shapes:
        input: (N, C, IW) or (C, IW)
        output, indices: (N, C, OW), OW as in :func:`fastconv.functional.max_pool2d`; contiguous

    Types, devices and errors as in :func:`fastconv.functional.conv2d`.

    Examples:
        >>> x = torch.arange(4.0).view(1, 1, 4)
        >>> fastconv.functional.max_pool1d(x, 2)[0, 0]
        tensor([1., 3.])
    """
    given = (kernel_size, stride, padding, dilation)
    keywords = {"ceil_mode": ceil_mode, "return_indices": return_indices}
    if has_torch_function((input,)):
        ours = max_pool1d_with_indices if return_indices else max_pool1d
        return overridden(ours, (input,), input, *given, **keywords)
    windows = (*_windows(*given[:3]), (1, single(dilation)), ceil_mode)
    reason = _why_not(input, max_pool2d_args, *windows)
    if reason is not None:
        return to_torch(F.max_pool1d, reason, input, *given, **keywords)
    if return_indices:
        found = dim2_pool.max_pool2d(input.unsqueeze(-2), *windows, True)
        return tuple(t.squeeze(-2).contiguous() for t in found)
    return _pooled(dim2_pool.max_pool2d, input, *windows)


max_pool1d_with_indices = with_indices(max_pool1d)


def avg_pool1d(
    input: Tensor,
    kernel_size: IntOrSingle,
    stride: IntOrSingle | None = None,
    padding: IntOrSingle = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """1-D average pooling, as :func:`torch.nn.functional.avg_pool1d`.

    ``y[n,c,ow] = sum over the window of x[n,c,iw] / divisor``, the divisor as in
    :func:`fastconv.functional.avg_pool2d`.

    Args:
        kernel_size: extents of the window, one number or (KW,).
        stride: pixels from one window to the next; None for the window's extents.
        padding: zeros on each side, at most half the window.
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts.
        count_include_pad: whether zeros of the padding count in the divisor.

    Shapes:
        input: (N, C, IW) or (C, IW)
        output: (N, C, OW), contiguous

    Types, devices and errors as in :func:`fastconv.functional.conv2d`.

    Examples:
        >>> x = torch.arange(4.0).view(1, 1, 4)
        >>> fastconv.functional.avg_pool1d(x, 2)[0, 0]
        tensor([0.5000, 2.5000])
    """
    given = (kernel_size, () if stride is None else stride, padding, ceil_mode, count_include_pad)
    if has_torch_function((input,)):
        return overridden(avg_pool1d, (input,), input, *given)
    windows = (*_windows(*given[:3]), ceil_mode, count_include_pad)
    reason = _why_not(input, avg_pool2d_args, *windows, None)
    if reason is not None:
        return to_torch(F.avg_pool1d, reason, input, *given)
    return _pooled(dim2_pool.avg_pool2d, input, *windows)


def adaptive_avg_pool1d(input: Tensor, output_size: IntOrSingle) -> Tensor:
    """1-D average pooling to a given size, as :func:`torch.nn.functional.adaptive_avg_pool1d`.

    Args:
        output_size: extents of the output, OW or (OW,).

    Shapes:
        input: (N, C, IW) or (C, IW)
        output: (N, C, OW), contiguous

    Windows, types, devices and errors as in :func:`fastconv.functional.adaptive_avg_pool2d`.

    Examples:
        >>> x = torch.arange(4.0).view(1, 1, 4)
        >>> fastconv.functional.adaptive_avg_pool1d(x, 2)[0, 0]
        tensor([0.5000, 2.5000])
    """
    if has_torch_function((input,)):
        return overridden(adaptive_avg_pool1d, (input,), input, output_size)
    size = (1, single(output_size))
    reason = "arguments" if size[1] is None else _why_not(input, adaptive_args, size)
    if reason is not None:
        return to_torch(F.adaptive_avg_pool1d, reason, input, output_size)
    return _pooled(dim2_pool.adaptive_avg_pool2d, input, size)


def adaptive_max_pool1d(
    input: Tensor, output_size: IntOrSingle, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """1-D max pooling to a given size, as :func:`torch.nn.functional.adaptive_max_pool1d`.

    Where OW divides IW every window has IW / OW elements, and
    :func:`fastconv.functional.max_pool1d` computes it. Else torch does, counted under "arguments".

    Args:
        output_size: extents of the output, OW or (OW,).
        return_indices: whether to return the places of the maxima, too.

    Shapes:
        input: (N, C, IW) or (C, IW)
        output, indices: (N, C, OW), contiguous

    Types, devices and errors as in :func:`fastconv.functional.conv2d`.

    Examples:
        >>> x = torch.arange(4.0).view(1, 1, 4)
        >>> fastconv.functional.adaptive_max_pool1d(x, 2)[0, 0]
        tensor([1., 3.])
    """
    if has_torch_function((input,)):
        ours = adaptive_max_pool1d_with_indices if return_indices else adaptive_max_pool1d
        return overridden(ours, (input,), input, output_size, return_indices=return_indices)
    size = single(output_size)
    reason = _why_not(input, adaptive_args, (1, size)) if type(size) is int else "arguments"
    if reason is None and (torch.jit.is_tracing() or size_of(input)[-1] % size != 0):
        reason = "arguments"
    if reason is not None:
        return to_torch(F.adaptive_max_pool1d, reason, input, output_size, return_indices)
    window = size_of(input)[-1] // size
    return max_pool1d(input, window, window, return_indices=return_indices)


adaptive_max_pool1d_with_indices = with_indices(adaptive_max_pool1d)
