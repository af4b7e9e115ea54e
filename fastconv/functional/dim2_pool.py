"""Pooling of images, with the signatures of torch.nn.functional. Layer: functional, over
core/autograd_pool.py.

What the kernels take is said in dim2.py.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.overrides import has_torch_function

from fastconv.core import eager, ops
from fastconv.core.arguments import (
    adaptive_args,
    avg_pool2d_args,
    batched_size,
    max_pool2d_args,
    refusal,
)
from fastconv.core.autograd_pool import AvgPool2d, MaxPool2d, max_pool2d_indices
from fastconv.core.fallbacks import F, to_torch
from fastconv.core.overrides import overridden, with_indices
from fastconv.functional.dim2 import IntOrPair, tracked

_compiling = torch.compiler.is_compiling


def _checked(input: Tensor, check: Callable, *given: object) -> tuple[tuple | None, str]:
    """(arguments of the operator, "arguments"). They are None if torch computes the call, and the
    last is then the reason."""
    reason = refusal(input)
    if reason is not None:
        return None, reason
    return check(batched_size(input), *given), "arguments"


def max_pool2d(
    input: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """2-D max pooling, as :func:`torch.nn.functional.max_pool2d`.

    ``y[n,c,oh,ow] = max over the window of x[n,c,ih,iw]``; of equal maxima the first counts, of
    NaNs the last. With ``return_indices`` also int64 indices ``ih * IW + iw`` of the maxima.

    Args:
        kernel_size: extents of the window, one number for all axes or (KH, KW).
        stride: pixels from one window to the next, or (rows, columns); None for the window's
            extents.
        padding: border on each side, or (rows, columns), at most half the window; it is never the
            maximum.
        dilation: pixels from one place of the window to the next, or (rows, columns).
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts.
        return_indices: whether to return the places of the maxima, too.

    Shapes:
        input: (N, C, IH, IW) or (C, IH, IW)
        output, indices: (N, C, OH, OW), in the input's memory format;
            OH = (IH + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1, rounded down, or
            up with ceil_mode

    Types, devices and errors as in :func:`fastconv.functional.conv2d`.

    Examples:
        >>> x = torch.arange(16.0).view(1, 1, 4, 4)
        >>> fastconv.functional.max_pool2d(x, 2)[0, 0, 0]
        tensor([5., 7.])
    """
    given = (kernel_size, stride, padding, dilation, ceil_mode)
    if not _compiling():
        call = eager.max_pool2d_with_indices if return_indices else eager.max_pool2d
        y = call(input, *given)
        if y is not None:
            return y
    keywords = {"ceil_mode": ceil_mode, "return_indices": return_indices}
    if has_torch_function((input,)):
        ours = max_pool2d_with_indices if return_indices else max_pool2d
        return overridden(ours, (input,), input, *given[:4], **keywords)
    args, reason = _checked(input, max_pool2d_args, *given)
    if args is None:
        return to_torch(F.max_pool2d, reason, input, *given[:4], **keywords)
    return _maxima(input, args, return_indices)


max_pool2d_with_indices = with_indices(max_pool2d)


def adaptive_max_pool2d(
    input: Tensor,
    output_size: IntOrPair | tuple[int | None, ...],
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """2-D max pooling to a given size, as :func:`torch.nn.functional.adaptive_max_pool2d`.

    ``y[n,c,oh,ow]`` is the maximum of ``x[n,c,ih,iw]`` over the windows of
    :func:`fastconv.functional.adaptive_avg_pool2d`; ties, NaN and indices as in
    :func:`fastconv.functional.max_pool2d`.

    Args:
        output_size: extents of the output, one number for both axes or (OH, OW); None in the place
            of an extent keeps the input's.
        return_indices: whether to return the places of the maxima, too.

    Shapes:
        input: (N, C, IH, IW) or (C, IH, IW)
        output, indices: (N, C, OH, OW), in the input's memory format

    Types, devices and errors as in :func:`fastconv.functional.conv2d`.

    Examples:
        >>> x = torch.arange(16.0).view(1, 1, 4, 4)
        >>> fastconv.functional.adaptive_max_pool2d(x, 2)[0, 0, 0]
        tensor([5., 7.])
    """
    keywords = {"return_indices": return_indices}
    if has_torch_function((input,)):
        ours = adaptive_max_pool2d_with_indices if return_indices else adaptive_max_pool2d
        return overridden(ours, (input,), input, output_size, **keywords)
    args, reason = _checked(input, adaptive_args, output_size)
    if args is None:
        return to_torch(F.adaptive_max_pool2d, reason, input, output_size, **keywords)
    return _maxima(input, args, return_indices)


adaptive_max_pool2d_with_indices = with_indices(adaptive_max_pool2d)


def _maxima(input: Tensor, args: tuple, return_indices: bool) -> Tensor | tuple[Tensor, Tensor]:
    x = input.unsqueeze(0) if input.dim() == 3 else input
    if tracked(x):
        y, codes = MaxPool2d.apply(x, args)
    else:
        operator = ops.adaptive_max_pool2d if len(args) == 1 else ops.max_pool2d
        y, codes = operator(x, *args, bool(return_indices))
    indices = max_pool2d_indices(codes, x, args) if return_indices else None
    if input.dim() == 3:
        y, indices = y.squeeze(0), indices.squeeze(0) if return_indices else None
    return (y, indices) if return_indices else y


def _average(input: Tensor, args: tuple) -> Tensor:
    x = input.unsqueeze(0) if input.dim() == 3 else input
    if tracked(x):
        y = AvgPool2d.apply(x, args)
    else:
        y = ops.adaptive_avg_pool2d(x, *args) if len(args) == 1 else ops.avg_pool2d(x, *args)
    return y.squeeze(0) if input.dim() == 3 else y


def avg_pool2d(
    input: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """2-D average pooling, as :func:`torch.nn.functional.avg_pool2d`.

    ``y[n,c,oh,ow] = sum over the window of x[n,c,ih,iw] / divisor``. The divisor is the number of
    window elements inside the padded image, or inside the image itself without
    ``count_include_pad``, or ``divisor_override``.

    Args:
        kernel_size: extents of the window, one number for all axes or (KH, KW).
        stride: pixels from one window to the next, or (rows, columns); None for the window's
            extents.
        padding: zeros on each side, or (rows, columns), at most half the window.
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts.
        count_include_pad: whether zeros of the padding count in the divisor.
        divisor_override: the divisor, None for the number of elements.

    Shapes:
        input: (N, C, IH, IW) or (C, IH, IW)
        output: (N, C, OH, OW), in the input's memory format;
            OH as in :func:`fastconv.functional.max_pool2d`

    Types, devices and errors as in :func:`fastconv.functional.conv2d`.

    Examples:
        >>> x = torch.arange(16.0).view(1, 1, 4, 4)
        >>> fastconv.functional.avg_pool2d(x, 2)[0, 0, 0]
        tensor([2.5000, 4.5000])
    """
    given = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    if not _compiling():
        y = eager.avg_pool2d(input, *given)
        if y is not None:
            return y
    if has_torch_function((input,)):
        return overridden(avg_pool2d, (input,), input, *given)
    args, reason = _checked(input, avg_pool2d_args, *given)
    if args is None:
        return to_torch(F.avg_pool2d, reason, input, *given)
    return _average(input, args)


def adaptive_avg_pool2d(input: Tensor, output_size: IntOrPair | tuple[int | None, ...]) -> Tensor:
    """2-D average pooling to a given size, as :func:`torch.nn.functional.adaptive_avg_pool2d`.

    ``y[n,c,oh,ow]`` is the mean of ``x[n,c,ih,iw]`` over ``floor(oh * IH / OH) <= ih < ceil((oh +
    1) * IH / OH)``, ``iw`` alike.

    Args:
        output_size: extents of the output, one number for both axes or (OH, OW); None in the place
            of an extent keeps the input's.

    Shapes:
        input: (N, C, IH, IW) or (C, IH, IW)
        output: (N, C, OH, OW), in the input's memory format

    Types, devices and errors as in :func:`fastconv.functional.conv2d`.

    Examples:
        >>> x = torch.arange(16.0).view(1, 1, 4, 4)
        >>> fastconv.functional.adaptive_avg_pool2d(x, 2)[0, 0, 0]
        tensor([2.5000, 4.5000])
    """
    if not _compiling():
        y = eager.adaptive_avg_pool2d(input, output_size)
        if y is not None:
            return y
    if has_torch_function((input,)):
        return overridden(adaptive_avg_pool2d, (input,), input, output_size)
    args, reason = _checked(input, adaptive_args, output_size)
    if args is None:
        return to_torch(F.adaptive_avg_pool2d, reason, input, output_size)
    return _average(input, args)
