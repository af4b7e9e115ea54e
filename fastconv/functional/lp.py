"""Power-average pooling: ``y = (sum over the window of x**p) ** (1/p)``, the maximum for an
infinite p. Layer: functional, over the pools of one to three dimensions.

torch.nn.functional composes it of its own average and max pooling in the same way.
"""

import math

import torch
from torch import Tensor
from torch.overrides import has_torch_function

from fastconv.core.arguments import refusal
from fastconv.core.fallbacks import F, to_torch
from fastconv.core.overrides import overridden
from fastconv.functional import dim1, dim2_pool, dim3_pool


def _elements(kernel_size: object, dimensions: int) -> int | None:
    """Of a window; None if the kernel size is not one that torch takes."""
    if type(kernel_size) is int:
        return kernel_size**dimensions
    if dimensions == 1 or not isinstance(kernel_size, (tuple, list)):
        return None
    taken = len(kernel_size) == dimensions and all(type(k) is int for k in kernel_size)
    return math.prod(kernel_size) if taken else None


def _lp_pool(pools: tuple, names: tuple, input: Tensor, *given: object) -> Tensor:
    """pools: max and average pooling; names: torch's function and ours; given: what follows input
    in their signature."""
    torchs, ours, dimensions = names
    if has_torch_function((input,)):
        return overridden(ours, (input,), input, *given)
    norm_type, kernel_size, stride, ceil_mode = given
    elements, reason = _elements(kernel_size, dimensions), refusal(input)
    if reason is not None or elements is None:
        return to_torch(torchs, reason or "arguments", input, *given)
    max_pool, avg_pool = pools
    if isinstance(norm_type, (int, float)) and math.isinf(norm_type):
        sign = 1 if norm_type > 0 else -1
        y = max_pool(sign * input.abs(), kernel_size, stride, 0, 1, ceil_mode)
        return sign * y
    y = avg_pool(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return (torch.sign(y) * torch.relu(y.abs())).mul(elements).pow(1.0 / norm_type)


def lp_pool1d(
    input: Tensor,
    norm_type: int | float,
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """1-D power-average pooling, as torch.nn.functional.lp_pool1d.

    ``y = (sum over the window of x**norm_type) ** (1 / norm_type)``, or for an infinite
    ``norm_type`` the maximum of ``|x|``.

    Args:
        norm_type: the power p, not 0; infinity for the maximum of ``|x|``.
        kernel_size: extents of the window, KW.
        stride: pixels from one window to the next; None for the window's extents.
        ceil_mode: whether a last window that starts inside the input and ends outside counts.

    Shapes:
        input: (N, C, IW) or (C, IW)
        output: (N, C, OW), OW = (IW - KW) / stride + 1, rounded down, or up with
            ceil_mode

    Types, devices and errors as in :func:`fastconv.functional.avg_pool1d`.

    Examples:
        >>> x = torch.tensor([4.0, 3.0]).view(1, 1, 2)
        >>> fastconv.functional.lp_pool1d(x, 2, 2).item()
        5.0
    """
    pools, names = (dim1.max_pool1d, dim1.avg_pool1d), (F.lp_pool1d, lp_pool1d, 1)
    return _lp_pool(pools, names, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor,
    norm_type: int | float,
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """2-D power-average pooling, as torch.nn.functional.lp_pool2d.

    ``y = (sum over the window of x**norm_type) ** (1 / norm_type)``, or for an infinite
    ``norm_type`` the maximum of ``|x|``.

    Args:
        norm_type: the power p, not 0; infinity for the maximum of ``|x|``.
        kernel_size: extents of the window, one number for all axes or (KH, KW).
        stride: pixels from one window to the next, or (rows, columns); None for the window's
            extents.
        ceil_mode: whether a last window that starts inside the input and ends outside counts.

    Shapes:
        input: (N, C, IH, IW) or (C, IH, IW)
        output: (N, C, OH, OW), OH = (IH - KH) / stride + 1, rounded down, or up with
            ceil_mode, OW alike

    Types, devices and errors as in :func:`fastconv.functional.avg_pool2d`.

    Examples:
        >>> x = torch.tensor([4.0, 3.0]).view(1, 1, 1, 2)
        >>> fastconv.functional.lp_pool2d(x, 2, (1, 2)).item()
        5.0
    """
    pools, names = (dim2_pool.max_pool2d, dim2_pool.avg_pool2d), (F.lp_pool2d, lp_pool2d, 2)
    return _lp_pool(pools, names, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor,
    norm_type: int | float,
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """3-D power-average pooling, as torch.nn.functional.lp_pool3d.

    ``y = (sum over the window of x**norm_type) ** (1 / norm_type)``, or for an infinite
    ``norm_type`` the maximum of ``|x|``.

    Args:
        norm_type: the power p, not 0; infinity for the maximum of ``|x|``.
        kernel_size: extents of the window, one number for all axes or (KD, KH, KW).
        stride: pixels from one window to the next, or (depth, rows, columns); None for the window's
            extents.
        ceil_mode: whether a last window that starts inside the input and ends outside counts.

    Shapes:
        input: (N, C, ID, IH, IW) or (C, ID, IH, IW)
        output: (N, C, OD, OH, OW), OD = (ID - KD) / stride + 1, rounded down, or up with
            ceil_mode, OH and OW alike

    Types, devices and errors as in :func:`fastconv.functional.avg_pool3d`.

    Examples:
        >>> x = torch.tensor([4.0, 3.0]).view(1, 1, 1, 1, 2)
        >>> fastconv.functional.lp_pool3d(x, 2, (1, 1, 2)).item()
        5.0
    """
    torchs = getattr(F, "lp_pool3d", None)  # younger than the oldest torch
    pools, names = (dim3_pool.max_pool3d, dim3_pool.avg_pool3d), (torchs, lp_pool3d, 3)
    return _lp_pool(pools, names, input, norm_type, kernel_size, stride, ceil_mode)
