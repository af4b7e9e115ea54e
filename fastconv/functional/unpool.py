"""The inverse of max pooling: elements at their places, zeros elsewhere, with the signatures of
torch.nn.functional. Layer: functional, over core/autograd_unpool.py.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import has_torch_function

from fastconv.core import ops
from fastconv.core.arguments import refusal, unpool_output_size, unpool_size_taken
from fastconv.core.autograd_unpool import MaxUnpool
from fastconv.core.fallbacks import F, to_torch
from fastconv.core.overrides import overridden
from fastconv.functional.dim1 import IntOrSingle
from fastconv.functional.dim2 import IntOrPair, tracked
from fastconv.functional.dim3 import IntOrTriple


def _why_not(input: Tensor, indices: Tensor, dims: int) -> str | None:
    """Why the kernels do not take these tensors; None if they do."""
    reason = refusal(input)
    if reason is not None:
        return reason
    if not isinstance(indices, Tensor) or indices.layout is not torch.strided:
        return "arguments"
    if indices.device != input.device or input.device.type != "cpu":
        return "device"
    if torch.jit.is_tracing():  # a traced graph would hold extents as constants
        return "tracing"
    same = indices.dtype is torch.int64 and indices.shape == input.shape
    return None if same and input.dim() in (dims + 1, dims + 2) else "arguments"


def to_size(
    torchs: Callable, input: Tensor, indices: Tensor, size: object, *rest: Any, dims: int
) -> Tensor:
    """`input` at the places of `indices` in planes of `size`; ``torchs(input, indices, *rest)`` if
    the kernels do not take this.

    Shapes:
        input, indices: (N, C, ...) or (C, ...), with `dims` extents
        output: (N, C, *size) or (C, *size)
    """
    reason = _why_not(input, indices, dims)
    if reason is None and not unpool_size_taken(input.shape, size, dims):
        reason = "arguments"
    if reason is not None:
        return to_torch(torchs, reason, input, indices, *rest)
    x, at = (input, indices) if input.dim() == dims + 2 else (input[None], indices[None])
    size = tuple(size)
    if dims == 1:  # a row is an image of width 1, as torch has it
        x, at, size = x.unsqueeze(-1), at.unsqueeze(-1), (*size, 1)
    y = MaxUnpool.apply(x, at, size) if tracked(x) else ops.max_unpool(x, at, size)
    y = y.squeeze(-1) if dims == 1 else y
    return y if input.dim() == dims + 2 else y.squeeze(0)


def _unpooled(
    ours: Callable, dims: int, input: Tensor, indices: Tensor, *windows: Any, output_size: Any
) -> Tensor:
    if has_torch_function((input,)):
        names = ("kernel_size", "stride", "padding")
        keywords = dict(zip(names[1:], windows[1:], strict=True), output_size=output_size)
        return overridden(ours, (input,), input, indices, windows[0], **keywords)
    is_tensor = isinstance(input, Tensor)
    size = unpool_output_size(input.shape, *windows, output_size, dims) if is_tensor else None
    torchs = getattr(F, ours.__name__)
    return to_size(torchs, input, indices, size, *windows, output_size, dims=dims)


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: IntOrSingle,
    stride: IntOrSingle | None = None,
    padding: IntOrSingle = 0,
    output_size: IntOrSingle | None = None,
) -> Tensor:
    """The inverse of 1-D max pooling, as :func:`torch.nn.functional.max_unpool1d`.

    Args:
        indices: int64, where each element of the input goes in its row, as
            :func:`fastconv.functional.max_pool1d` returns them.
        kernel_size: extents of the window, one number or (KW,).
        stride: pixels from one window to the next; None for the window's extents.
        padding: border on each side, of the pooling.
        output_size: extents of the output, (OW,) or (N, C, OW); None for the least that windows
            can have come from.

    Shapes:
        input, indices: (N, C, IW) or (C, IW)
        output: (N, C, OW), OW = (IW - 1) * stride - 2 * padding + KW

    Equal indices, types, devices and errors as in :func:`fastconv.functional.max_unpool2d`.

    Examples:
        >>> y, indices = fastconv.functional.max_pool1d(torch.arange(4.0).view(1, 1, 4), 2,
        ...                                             return_indices=True)
        >>> fastconv.functional.max_unpool1d(y, indices, 2)[0, 0]
        tensor([0., 1., 0., 3.])
    """
    windows = (kernel_size, stride, padding)
    return _unpooled(max_unpool1d, 1, input, indices, *windows, output_size=output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    output_size: tuple[int, ...] | list[int] | None = None,
) -> Tensor:
    """The inverse of 2-D max pooling, as :func:`torch.nn.functional.max_unpool2d`.

    ``y[n,c,indices[n,c,ih,iw]] = x[n,c,ih,iw]``, where an index counts the pixels of a plane, and 0
    elsewhere. Of equal indices in one plane the last counts, whatever the number of threads. Each
    gets the gradient of its place.

    Args:
        indices: int64, where each element of the input goes in its plane, ``oh * OW + ow``, as
            :func:`fastconv.functional.max_pool2d` returns them.
        kernel_size: extents of the window, one number for all axes or (KH, KW).
        stride: pixels from one window to the next, or (rows, columns); None for the window's
            extents.
        padding: border on each side, or (rows, columns), of the pooling.
        output_size: extents of the output, (OH, OW) or (N, C, OH, OW), less than a stride from the
            formula below; None for the formula.

    Shapes:
        input, indices: (N, C, IH, IW) or (C, IH, IW)
        output: (N, C, OH, OW), in the input's memory format;
            OH = (IH - 1) * stride - 2 * padding + KH, OW alike

    Types, devices and errors as in :func:`fastconv.functional.conv2d`. An index outside of its
    plane raises torch's ``RuntimeError``. On a GPU, and where torch.jit.trace records, torch
    computes the call.

    Examples:
        >>> y, indices = fastconv.functional.max_pool2d(torch.arange(16.0).view(1, 1, 4, 4), 2,
        ...                                             return_indices=True)
        >>> fastconv.functional.max_unpool2d(y, indices, 2)[0, 0, 1]
        tensor([0., 5., 0., 7.])
    """
    windows = (kernel_size, stride, padding)
    return _unpooled(max_unpool2d, 2, input, indices, *windows, output_size=output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: IntOrTriple,
    stride: IntOrTriple | None = None,
    padding: IntOrTriple = 0,
    output_size: tuple[int, ...] | list[int] | None = None,
) -> Tensor:
    """The inverse of 3-D max pooling, as :func:`torch.nn.functional.max_unpool3d`.

    Args:
        indices: int64, where each element of the input goes in its volume, as
            :func:`fastconv.functional.max_pool3d` returns them.
        kernel_size: extents of the window, one number for all axes or (KD, KH, KW).
        stride: pixels from one window to the next, or (depth, rows, columns); None for the
            window's extents.
        padding: border on each side, or (depth, rows, columns), of the pooling.
        output_size: extents of the output, (OD, OH, OW) or (N, C, OD, OH, OW), less than a stride
            from the formula below; None for the formula.

    Shapes:
        input, indices: (N, C, ID, IH, IW) or (C, ID, IH, IW)
        output: (N, C, OD, OH, OW), contiguous; OD = (ID - 1) * stride - 2 * padding + KD, OH and OW
            alike

    Equal indices, types, devices and errors as in :func:`fastconv.functional.max_unpool2d`.

    Examples:
        >>> y, indices = fastconv.functional.max_pool3d(torch.arange(8.0).view(1, 1, 2, 2, 2), 2,
        ...                                             return_indices=True)
        >>> fastconv.functional.max_unpool3d(y, indices, 2).flatten()
        tensor([0., 0., 0., 0., 0., 0., 0., 7.])
    """
    windows = (kernel_size, stride, padding)
    return _unpooled(max_unpool3d, 3, input, indices, *windows, output_size=output_size)
