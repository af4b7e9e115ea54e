"""Pooling of volumes, with the signatures of torch.nn.functional. A pool is separable: first each
plane is pooled, then the depth, as an image of D x (OH * OW). Layer: functional, over dim2_pool.py.
"""

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor
from torch.overrides import has_torch_function

from fastconv.core.arguments import adaptive_args, avg_pool2d_args, is_given, max_pool2d_args
from fastconv.core.fallbacks import F, to_torch
from fastconv.core.overrides import overridden, with_indices
from fastconv.core.tensors import pooled_size
from fastconv.functional import dim2_pool
from fastconv.functional.dim3 import (
    IntOrTriple,
    contiguous_like,
    shaped_like,
    triple,
    why_not_volume,
)


def _pooled(x: Tensor, pool: Callable, planes: tuple, depth: tuple) -> Tensor:
    """Pools the planes of (N, C, D, H, W), and then the depth."""
    n, c = x.shape[:2]
    y = pool(x.flatten(1, 2), *planes)
    height, width = y.shape[2:]
    y = pool(y.unflatten(1, (c, x.shape[2])).flatten(3), *depth)
    return y.unflatten(3, (height, width))


def _both(checked: Callable, x: Tensor, planes: tuple, depth: tuple, plane_size: Callable) -> bool:
    """Whether the kernels take both steps; plane_size: from the planes' size and arguments."""
    size = (x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:])
    args = checked(size, *planes)
    if args is None:
        return False
    size = (*x.shape[:3], prod(plane_size(size, args)[2:]))
    return checked(size, *depth) is not None


def _halves(*values: object) -> tuple[list, list] | None:
    """Of triples: the parts of height and width, and those of the depth with (_, 1) or (_, 0)."""
    triples = [triple(v) for v, _ in values]
    if None in triples:
        return None
    rest = [t[1:] for t in triples]
    return rest, [(t[0], neutral) for t, (_, neutral) in zip(triples, values, strict=True)]


def max_pool3d(
    input: Tensor,
    kernel_size: IntOrTriple,
    stride: IntOrTriple | None = None,
    padding: IntOrTriple = 0,
    dilation: IntOrTriple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """3-D max pooling, as :func:`torch.nn.functional.max_pool3d`: planes first, then the depth.

    With ``return_indices`` also int64 indices ``(id * IH + ih) * IW + iw`` of the maxima. Ties and
    NaNs as in :func:`fastconv.functional.max_pool2d`.

    Args:
        kernel_size: extents of the window, one number for all axes or (KD, KH, KW).
        stride: pixels from one window to the next, or (depth, rows, columns); None for the
            window's extents.
        padding: border on each side, or (depth, rows, columns), at most half the window; it is
            never the maximum.
        dilation: pixels from one place of the window to the next, or (depth, rows, columns).
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts.
        return_indices: whether to return the places of the maxima, too.

    Shapes:
        input: (N, C, ID, IH, IW) or (C, ID, IH, IW)
        output, indices: (N, C, OD, OH, OW), in the input's memory format

    Types, devices and errors as in :func:`fastconv.functional.conv2d`. torch.jit.trace records
    torch's function.

    Examples:
        >>> x = torch.arange(64.0).view(1, 1, 4, 4, 4)
        >>> fastconv.functional.max_pool3d(x, 2)[0, 0, 0, 0]
        tensor([21., 23.])
    """
    given = (kernel_size, stride, padding, dilation)
    keywords = {"ceil_mode": ceil_mode, "return_indices": return_indices}
    if has_torch_function((input,)):
        ours = max_pool3d_with_indices if return_indices else max_pool3d
        return overridden(ours, (input,), input, *given, **keywords)
    reason, halves = why_not_volume(input), None
    if reason is None:
        x, reason = input.unsqueeze(0) if input.dim() == 4 else input, "arguments"
        stride = stride if is_given(stride) else kernel_size
        halves = _halves((kernel_size, 1), (stride, 1), (padding, 0), (dilation, 1))
    if halves is not None:
        planes, depth = (*halves[0], ceil_mode), (*halves[1], ceil_mode)
        if _both(max_pool2d_args, x, planes, depth, lambda size, args: pooled_size(size, *args)):
            if return_indices:
                return tuple(shaped_like(t, input) for t in _max_with_indices(x, planes, depth))
            return shaped_like(_pooled(x, dim2_pool.max_pool2d, planes, depth), input)
    return to_torch(F.max_pool3d, reason, input, *given, **keywords)


def _max_with_indices(x: Tensor, planes: tuple, depth: tuple) -> tuple[Tensor, Tensor]:
    """As _pooled; the index of the plane and the index in it come from two steps."""
    channels, height, width = x.shape[1], x.shape[3], x.shape[4]
    y, in_plane = dim2_pool.max_pool2d(x.flatten(1, 2), *planes, True)
    rows, columns = y.shape[2:]
    y = y.unflatten(1, (channels, x.shape[2])).flatten(3)
    y, chosen = dim2_pool.max_pool2d(y, *depth, True)
    plane = chosen // (rows * columns)
    in_plane = in_plane.unflatten(1, (channels, x.shape[2])).flatten(2)
    indices = plane * (height * width) + in_plane.gather(2, chosen.flatten(2)).view_as(chosen)
    return y.unflatten(3, (rows, columns)), indices.unflatten(3, (rows, columns))


max_pool3d_with_indices = with_indices(max_pool3d)


def _widened(average: Callable, x: Tensor, *rest: object) -> Tensor:
    """The average of a short type is rounded once, after both steps."""
    if x.dtype in (torch.float16, torch.bfloat16):
        return _pooled(x.float(), average, *rest).to(x.dtype)
    return _pooled(x, average, *rest)


def avg_pool3d(
    input: Tensor,
    kernel_size: IntOrTriple,
    stride: IntOrTriple | None = None,
    padding: IntOrTriple = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """3-D average pooling, as :func:`torch.nn.functional.avg_pool3d`: planes first, then the depth.

    The divisor, as in :func:`fastconv.functional.avg_pool2d`, is a product of one of the planes and
    one of the depth.

    Args:
        kernel_size: extents of the window, one number for all axes or (KD, KH, KW).
        stride: pixels from one window to the next, or (depth, rows, columns); None for the
            window's extents.
        padding: zeros on each side, or (depth, rows, columns), at most half the window.
        ceil_mode: whether a last window that starts inside the padded input and ends outside
            counts.
        count_include_pad: whether zeros of the padding count in the divisor.
        divisor_override: the divisor, None for the number of elements.

    Shapes:
        input: (N, C, ID, IH, IW) or (C, ID, IH, IW)
        output: (N, C, OD, OH, OW), contiguous

    Types, devices and errors as in :func:`fastconv.functional.conv2d`. torch.jit.trace records
    torch's function.

    Examples:
        >>> x = torch.arange(64.0).view(1, 1, 4, 4, 4)
        >>> fastconv.functional.avg_pool3d(x, 2)[0, 0, 0, 0]
        tensor([10.5000, 12.5000])
    """
    given = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    if has_torch_function((input,)):
        return overridden(avg_pool3d, (input,), input, *given)
    reason, halves = why_not_volume(input), None
    if reason is None:
        x, reason = input.unsqueeze(0) if input.dim() == 4 else input, "arguments"
        stride = stride if is_given(stride) else kernel_size
        halves = _halves((kernel_size, 1), (stride, 1), (padding, 0))
    if halves is not None:
        rest = (ceil_mode, count_include_pad)
        of_planes = None if divisor_override is None else 1
        planes, depth = (*halves[0], *rest, of_planes), (*halves[1], *rest, divisor_override)
        if _both(avg_pool2d_args, x, planes, depth, _averaged_size):
            return contiguous_like(_widened(dim2_pool.avg_pool2d, x, planes, depth), input)
    return to_torch(F.avg_pool3d, reason, input, *given)


def _averaged_size(size: tuple, args: tuple) -> tuple:
    return pooled_size(size, *args[:3], (1, 1), args[3])


def adaptive_avg_pool3d(input: Tensor, output_size: IntOrTriple | tuple[int | None, ...]) -> Tensor:
    """3-D average pooling to a given size, as :func:`torch.nn.functional.adaptive_avg_pool3d`.

    Args:
        output_size: extents of the output, one number for all axes or (OD, OH, OW); None in the
            place of an extent keeps the input's.

    Shapes:
        input: (N, C, ID, IH, IW) or (C, ID, IH, IW)
        output: (N, C, OD, OH, OW), contiguous

    Windows, types, devices and errors as in :func:`fastconv.functional.adaptive_avg_pool2d`.
    torch.jit.trace records torch's function.

    Examples:
        >>> x = torch.arange(64.0).view(1, 1, 4, 4, 4)
        >>> fastconv.functional.adaptive_avg_pool3d(x, 2)[0, 0, 0, 0]
        tensor([10.5000, 12.5000])
    """
    if has_torch_function((input,)):
        return overridden(adaptive_avg_pool3d, (input,), input, output_size)
    reason, size = why_not_volume(input), None
    if reason is None:
        x, reason = input.unsqueeze(0) if input.dim() == 4 else input, "arguments"
        size = output_size
        if isinstance(size, (tuple, list)) and len(size) == 3:
            pairs = zip(size, x.shape[2:], strict=True)
            size = [extent if out is None else out for out, extent in pairs]
        size = triple(size)
    if size is not None:
        planes, depth = (size[1:],), ((size[0], size[1] * size[2]),)
        if _both(adaptive_args, x, planes, depth, lambda given, args: (*given[:2], *args[0])):
            return contiguous_like(_widened(dim2_pool.adaptive_avg_pool2d, x, planes, depth), input)
    return to_torch(F.adaptive_avg_pool3d, reason, input, output_size)
