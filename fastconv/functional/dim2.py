"""conv2d and pooling of images, with the signatures of torch.nn.functional. Layer: functional,
over core/autograd.py.

What the kernels take: strided CPU tensors of one floating type, 3-D (unbatched) or 4-D. Everything
else is left to torch by `to_torch`, counted (see fallbacks.py); wrong arguments are among it, so
that torch raises its own error.
"""

import torch
from torch import Tensor
from torch.overrides import has_torch_function

from fastconv.core import eager, ops
from fastconv.core.arguments import (
    adaptive_args,
    avg_pool2d_args,
    batched_size,
    conv2d_args,
    max_pool2d_args,
    refusal,
)
from fastconv.core.autograd import Conv2d
from fastconv.core.autograd_base import recorded, transforming
from fastconv.core.autograd_pool import (
    AvgPool2d,
    MaxPool2d,
    max_pool2d_indices,
)
from fastconv.core.casts import lowered
from fastconv.core.fallbacks import F, to_torch
from fastconv.core.overrides import overridden
from fastconv.core.tensors import size_of

IntOrPair = int | tuple[int, ...] | list[int]
_compiling = torch.compiler.is_compiling


def autocast(*tensors: Tensor | None) -> tuple:
    """The tensors as torch's autocast would hand them to conv2d: low precision, but for float64."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(
        t
        if t is None or not t.is_floating_point() or t.dtype is torch.float64
        else lowered(t, dtype)
        for t in tensors
    )


def tracked(*tensors: Tensor | None) -> bool:
    """Whether to apply a Function: something requires grad, or forward mode or torch.func is on.

    Not while a graph is recorded, by torch.compile, export or torch.jit.trace: it holds operators,
    which apply the Functions when they run.

    Args:
        tensors: the inputs of a call; None where an optional one is missing.

    Examples:
        >>> fastconv.functional.tracked(torch.ones(2)), fastconv.functional.tracked(
        ...     torch.ones(2, requires_grad=True), None)
        (False, True)
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    return recorded(*tensors) or transforming()


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """2-D convolution (cross-correlation), as :func:`torch.nn.functional.conv2d`.

    ``y[n,oc,oh,ow] = bias[oc] + sum over ic,kh,kw of weight[oc,ic,kh,kw] * x[n,ic,ih,iw]`` with
    ``ih = oh * stride + kh * dilation - padding``, ``iw`` alike, and ``x = 0`` outside the image.

    Args:
        stride: pixels from one window to the next, or (rows, columns), 1 or more.
        padding: zeros on each side, or (rows, columns); "same" for an output of the input's size,
            with stride 1; or "valid" for none.
        dilation: pixels from one place of the kernel to the next, or (rows, columns).
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC.

    Shapes:
        input: (N, IC, IH, IW) or (IC, IH, IW)
        weight: (OC, IC / groups, KH, KW)
        bias: (OC,)
        output: (N, OC, OH, OW), OH = (IH + 2 * padding - dilation * (KH - 1) - 1) // stride + 1;
            channels_last if the input or the weight is

    float32, float64, float16 and bfloat16 have kernels; sums of the last two are float32 and are
    rounded once. Other types and devices are left to torch (:func:`fastconv.fallbacks` counts
    them). Errors are those of torch.

    Raises:
        RuntimeError: shapes or types do not fit each other, or a number is out of range.
        TypeError: an argument has a wrong type.

    Examples:
        >>> x, w = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3)
        >>> fastconv.functional.conv2d(x, w)[0, 0, 0]
        tensor([9., 9.])
    """
    if not _compiling():
        y = eager.conv2d(input, weight, bias, stride, padding, dilation, groups)
        if y is not None:
            return y
    if has_torch_function((input, weight, bias)):
        given = (input, weight, bias)
        return overridden(F.conv2d, conv2d, given, *given, stride, padding, dilation, groups)
    given = (input, weight) if bias is None else (input, weight, bias)
    reason = refusal(*given)
    if reason in (None, "dtype"):
        x, w, b = autocast(input, weight, bias)
        reason = refusal(x, w) or (None if b is None else refusal(x, b))
    args = None
    if reason is None:
        sizes = batched_size(x), size_of(w), None if b is None else size_of(b)
        args = conv2d_args(*sizes, stride, padding, dilation, groups)
        reason = "arguments"
    if args is None:
        return to_torch(F.conv2d, reason, input, weight, bias, stride, padding, dilation, groups)
    kept = (
        w is weight
    )  # filters; not those of a copy by autocast, which has another address each time
    if x.dim() == 3:
        return _run_conv2d(x.unsqueeze(0), w, b, args, kept).squeeze(0)
    return _run_conv2d(x, w, b, args, kept)


def _run_conv2d(x: Tensor, w: Tensor, bias: Tensor | None, args: tuple, kept: bool) -> Tensor:
    if tracked(x, w, bias):
        return Conv2d.apply(x, w, bias, args)
    return ops.conv2d(x, w, bias, *args, kept)


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
    if not return_indices and not _compiling():
        y = eager.max_pool2d(input, *given)
        if y is not None:
            return y
    if has_torch_function((input,)):
        keywords = {"ceil_mode": ceil_mode, "return_indices": return_indices}
        return overridden(*_max_pools(return_indices), (input,), input, *given[:4], **keywords)
    reason, args = refusal(input), None
    if reason is None:
        args, reason = max_pool2d_args(batched_size(input), *given), "arguments"
    if args is None:
        keywords = {"ceil_mode": ceil_mode, "return_indices": return_indices}
        return to_torch(F.max_pool2d, reason, input, *given[:4], **keywords)
    return _maxima(input, args, return_indices)


def _max_pool2d_with_indices(*args, **kwargs):
    return max_pool2d(*args, **{**kwargs, "return_indices": True})


def _max_pools(return_indices: bool) -> tuple:
    """torch's function, which has two names, and ours."""
    if return_indices:
        return F.max_pool2d_with_indices, _max_pool2d_with_indices
    return F.max_pool2d, max_pool2d


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
    if has_torch_function((input,)):
        pools = _adaptive_max_pools(return_indices)
        return overridden(*pools, (input,), input, output_size, return_indices=return_indices)
    reason, args = refusal(input), None
    if reason is None:
        args, reason = adaptive_args(batched_size(input), output_size), "arguments"
    if args is None:
        return to_torch(
            F.adaptive_max_pool2d, reason, input, output_size, return_indices=return_indices
        )
    return _maxima(input, args, return_indices)


def _adaptive_max_pool2d_with_indices(*args, **kwargs):
    return adaptive_max_pool2d(*args, **{**kwargs, "return_indices": True})


def _adaptive_max_pools(return_indices: bool) -> tuple:
    """torch's function, which has two names, and ours."""
    if return_indices:
        return F.adaptive_max_pool2d_with_indices, _adaptive_max_pool2d_with_indices
    return F.adaptive_max_pool2d, adaptive_max_pool2d


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
        return overridden(F.avg_pool2d, avg_pool2d, (input,), input, *given)
    reason, args = refusal(input), None
    if reason is None:
        args, reason = avg_pool2d_args(batched_size(input), *given), "arguments"
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
        ours = adaptive_avg_pool2d
        return overridden(F.adaptive_avg_pool2d, ours, (input,), input, output_size)
    reason, args = refusal(input), None
    if reason is None:
        args, reason = adaptive_args(batched_size(input), output_size), "arguments"
    if args is None:
        return to_torch(F.adaptive_avg_pool2d, reason, input, output_size)
    return _average(input, args)
