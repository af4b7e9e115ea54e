"""Convolution and pooling of volumes, with the signatures of torch.nn.functional, computed plane by
plane. Layer: functional, over dim2.py.

A pool is separable: first each plane is pooled, then the depth, as an image of D x (OH * OW). A
convolution sees KD planes as channels of one image: ``(N * OD, IC * KD, IH, IW)``. That image is
KD times as large as the input, and the weight is the same memory.
"""

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor
from torch._prims_common import suggest_memory_format
from torch.overrides import has_torch_function

from fastconv.core.arguments import (
    adaptive_args,
    avg_pool2d_args,
    conv2d_args,
    max_pool2d_args,
    refusal,
)
from fastconv.core.fallbacks import F, to_torch
from fastconv.core.overrides import overridden
from fastconv.core.tensors import pooled_size
from fastconv.functional import dim2

IntOrTriple = int | tuple[int, ...] | list[int]


def _triple(value: object) -> tuple | None:
    """(v, v, v) or (u, v, w) of what torch takes as int[3]; None of anything else."""
    if isinstance(value, (tuple, list)) and len(value) == 1:
        value = value[0]
    if not isinstance(value, (tuple, list)):
        value = (value,) * 3
    taken = all(isinstance(v, (int, torch.SymInt)) and not isinstance(v, bool) for v in value)
    return tuple(value) if taken and len(value) == 3 else None


def _refusal(*tensors: Tensor) -> str | None:
    reason = refusal(*tensors)
    if reason is None and torch.jit.is_tracing():  # a traced graph would hold extents as constants
        return "tracing"
    if reason is None and tensors[0].dim() not in (4, 5):
        return "arguments"
    return reason


def _contiguous(y: Tensor, input: Tensor) -> Tensor:
    """`y`, five-dimensional, with as many dimensions as the input."""
    return (y.squeeze(0) if input.dim() == 4 else y).contiguous()


def _shaped(y: Tensor, input: Tensor, *others: Tensor) -> Tensor:
    """`y`, five-dimensional, with as many dimensions as the input, and channels_last_3d if one of
    the others or it is."""
    if input.dim() == 4:
        return _contiguous(y, input)
    formats = {suggest_memory_format(t) for t in (input, *others)}
    last = torch.channels_last_3d
    return y.contiguous(memory_format=last if last in formats else torch.contiguous_format)


# ---- convolution ---------------------------------------------------------------------------------


def _depth_sides(padding: object, kernel: int, dilation: int) -> tuple[int, int]:
    if padding == "valid":
        return 0, 0
    if padding == "same":
        total = dilation * (kernel - 1)
        return total // 2, total - total // 2
    return padding[0], padding[0]


def _conv3d_args(x: Tensor, w: Tensor, bias: Tensor | None, stride, padding, dilation, groups):
    """(depth: (front, back, stride, dilation, OD), arguments of conv2d), or None."""
    stride, dilation = _triple(stride), _triple(dilation)
    padding = padding if isinstance(padding, str) else _triple(padding)
    if w.dim() != 5 or None in (stride, padding, dilation):
        return None
    if isinstance(padding, str) and padding not in ("same", "valid"):
        return None
    kernel, x_depth = w.shape[2], x.shape[2]
    if min(stride[0], dilation[0], kernel, x_depth) < 1:
        return None
    front, back = _depth_sides(padding, kernel, dilation[0])
    depth = (x_depth + front + back - dilation[0] * (kernel - 1) - 1) // stride[0] + 1
    if front < 0 or depth < 1 or (padding == "same" and stride[0] != 1):
        return None
    in_plane = (padding if isinstance(padding, str) else padding[1:], dilation[1:], groups)
    sizes = (
        (x.shape[0] * depth, x.shape[1] * kernel, *x.shape[3:]),
        (w.shape[0], w.shape[1] * kernel, *w.shape[3:]),
        None if bias is None else bias.shape,
    )
    if conv2d_args(*sizes, stride[1:], *in_plane) is None:
        return None
    return (front, back, stride[0], dilation[0], depth), (stride[1:], *in_plane)


def _planes(x: Tensor, kernel: int, depth: tuple) -> Tensor:
    """(N, IC, ID, IH, IW) -> (N * OD, IC * KD, IH, IW): every plane that an output plane sees."""
    front, back, stride, dilation, out = depth
    if front or back:
        x = F.pad(x, (0, 0, 0, 0, front, back))
    x, span = x.transpose(1, 2), (out - 1) * stride + 1
    first = range(0, kernel * dilation, dilation)
    seen = torch.stack([x[:, at : at + span : stride] for at in first], 3)
    return seen.flatten(2, 3).flatten(0, 1)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrTriple = 1,
    padding: IntOrTriple | str = 0,
    dilation: IntOrTriple = 1,
    groups: int = 1,
) -> Tensor:
    """3-D convolution (cross-correlation), as :func:`torch.nn.functional.conv3d`.

    ``y[n,oc,od,oh,ow] = bias[oc] + sum over ic,kd,kh,kw of weight[oc,ic,kd,kh,kw] *
    x[n,ic,id,ih,iw]`` with ``id = od * stride + kd * dilation - padding``, ``ih`` and ``iw`` alike.
    It runs as one conv2d of N * OD images of IC * KD channels, for which the input is copied KD
    times; with gradients the copies are kept for the backward pass.

    Shapes:
        input: (N, IC, ID, IH, IW) or (IC, ID, IH, IW)
        weight: (OC, IC / groups, KD, KH, KW); bias: (OC,)
        output: (N, OC, OD, OH, OW), OD as OH in :func:`fastconv.functional.conv2d`

    Types, devices and errors as in :func:`fastconv.functional.conv2d`. torch.jit.trace records
    torch's function.
    """
    given = (input, weight, bias)
    arguments = (stride, padding, dilation, groups)
    if has_torch_function(given):
        return overridden(F.conv3d, conv3d, given, *given, *arguments)
    reason = _refusal(*(given[:2] if bias is None else given))
    if reason == "dtype" and torch.is_autocast_enabled("cpu") and not torch.jit.is_tracing():
        reason = None if input.dim() in (4, 5) else "arguments"  # conv2d makes them one type
    args = None
    if reason is None:
        x = input.unsqueeze(0) if input.dim() == 4 else input
        args, reason = _conv3d_args(x, weight, bias, *arguments), "arguments"
    if args is None:
        return to_torch(F.conv3d, reason, *given, *arguments)
    depth, in_plane = args
    planes = _planes(x, weight.shape[2], depth)
    y = dim2.conv2d(planes, weight.flatten(1, 2), bias, *in_plane)
    y = y.unflatten(0, (x.shape[0], depth[-1])).transpose(1, 2)
    if y.dtype is torch.float64:  # torch's has one memory format
        return _contiguous(y, input)
    return _shaped(y, input, weight)


# ---- pooling -------------------------------------------------------------------------------------


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
    triples = [_triple(v) for v, _ in values]
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

    Shapes:
        input: (N, C, ID, IH, IW) or (C, ID, IH, IW)
        output, indices: (N, C, OD, OH, OW), in the input's memory format

    Types, devices and errors as in :func:`fastconv.functional.conv2d`. torch.jit.trace records
    torch's function.
    """
    given = (kernel_size, stride, padding, dilation)
    keywords = {"ceil_mode": ceil_mode, "return_indices": return_indices}
    if has_torch_function((input,)):
        names = (F.max_pool3d, max_pool3d)
        if return_indices:
            names = (F.max_pool3d_with_indices, max_pool3d_with_indices)
        return overridden(*names, (input,), input, *given, **keywords)
    reason, halves = _refusal(input), None
    if reason is None:
        x, reason = input.unsqueeze(0) if input.dim() == 4 else input, "arguments"
        halves = _halves((kernel_size, 1), (_stride(kernel_size, stride), 1), (padding, 0),
                         (dilation, 1))  # fmt: skip
    if halves is not None:
        planes, depth = (*halves[0], ceil_mode), (*halves[1], ceil_mode)
        if _both(max_pool2d_args, x, planes, depth, lambda size, args: pooled_size(size, *args)):
            if return_indices:
                return tuple(_shaped(t, input) for t in _max_with_indices(x, planes, depth))
            return _shaped(_pooled(x, dim2.max_pool2d, planes, depth), input)
    return to_torch(F.max_pool3d, reason, input, *given, **keywords)


def _max_with_indices(x: Tensor, planes: tuple, depth: tuple) -> tuple[Tensor, Tensor]:
    """As _pooled; the index of the plane and the index in it come from two steps."""
    channels, height, width = x.shape[1], x.shape[3], x.shape[4]
    y, in_plane = dim2.max_pool2d(x.flatten(1, 2), *planes, True)
    rows, columns = y.shape[2:]
    y = y.unflatten(1, (channels, x.shape[2])).flatten(3)
    y, chosen = dim2.max_pool2d(y, *depth, True)
    plane = chosen // (rows * columns)
    in_plane = in_plane.unflatten(1, (channels, x.shape[2])).flatten(2)
    indices = plane * (height * width) + in_plane.gather(2, chosen.flatten(2)).view_as(chosen)
    return y.unflatten(3, (rows, columns)), indices.unflatten(3, (rows, columns))


def max_pool3d_with_indices(*args, **kwargs):
    return max_pool3d(*args, **{**kwargs, "return_indices": True})


def _stride(kernel_size: object, stride: object) -> object:
    empty = stride is None or (isinstance(stride, (tuple, list)) and len(stride) == 0)
    return kernel_size if empty else stride


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

    Shapes:
        input: (N, C, ID, IH, IW) or (C, ID, IH, IW); output: (N, C, OD, OH, OW), contiguous

    Types, devices and errors as in :func:`fastconv.functional.conv2d`. torch.jit.trace records
    torch's function.
    """
    given = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    if has_torch_function((input,)):
        return overridden(F.avg_pool3d, avg_pool3d, (input,), input, *given)
    reason, halves = _refusal(input), None
    if reason is None:
        x, reason = input.unsqueeze(0) if input.dim() == 4 else input, "arguments"
        halves = _halves((kernel_size, 1), (_stride(kernel_size, stride), 1), (padding, 0))
    if halves is not None:
        rest = (ceil_mode, count_include_pad)
        of_planes = None if divisor_override is None else 1
        planes, depth = (*halves[0], *rest, of_planes), (*halves[1], *rest, divisor_override)
        if _both(avg_pool2d_args, x, planes, depth, _averaged_size):
            return _contiguous(_widened(dim2.avg_pool2d, x, planes, depth), input)
    return to_torch(F.avg_pool3d, reason, input, *given)


def _averaged_size(size: tuple, args: tuple) -> tuple:
    return pooled_size(size, *args[:3], (1, 1), args[3])


def adaptive_avg_pool3d(input: Tensor, output_size: IntOrTriple | tuple[int | None, ...]) -> Tensor:
    """3-D average pooling to a given size, as :func:`torch.nn.functional.adaptive_avg_pool3d`.

    Shapes:
        input: (N, C, ID, IH, IW) or (C, ID, IH, IW)
        output_size: OD, OH and OW, or (OD, OH, OW); None keeps the input's extent
        output: (N, C, OD, OH, OW), contiguous

    Windows, types, devices and errors as in :func:`fastconv.functional.adaptive_avg_pool2d`.
    torch.jit.trace records torch's function.
    """
    if has_torch_function((input,)):
        ours = adaptive_avg_pool3d
        return overridden(F.adaptive_avg_pool3d, ours, (input,), input, output_size)
    reason, size = _refusal(input), None
    if reason is None:
        x, reason = input.unsqueeze(0) if input.dim() == 4 else input, "arguments"
        size = output_size
        if isinstance(size, (tuple, list)) and len(size) == 3:
            pairs = zip(size, x.shape[2:], strict=True)
            size = [extent if out is None else out for out, extent in pairs]
        size = _triple(size)
    if size is not None:
        planes, depth = (size[1:],), ((size[0], size[1] * size[2]),)
        if _both(adaptive_args, x, planes, depth, lambda given, args: (*given[:2], *args[0])):
            return _contiguous(_widened(dim2.adaptive_avg_pool2d, x, planes, depth), input)
    return to_torch(F.adaptive_avg_pool3d, reason, input, output_size)
