"""Convolution of volumes, with the signature of torch.nn.functional, computed plane by plane, and
what pools of volumes (dim3_pool.py) share with it. Layer: functional, over dim2.py.

A convolution sees KD planes as channels of one image: ``(N * OD, IC * KD, IH, IW)``. That image is
KD times as large as the input, and the weight is the same memory.
"""

import torch
from torch import Tensor
from torch._prims_common import suggest_memory_format
from torch.overrides import has_torch_function

from fastconv.core.arguments import below, conv2d_args, refusal
from fastconv.core.fallbacks import F, to_torch
from fastconv.core.overrides import overridden
from fastconv.functional import dim2

IntOrTriple = int | tuple[int, ...] | list[int]


def triple(value: object) -> tuple | None:
    """(v, v, v) or (u, v, w) of what torch takes as int[3]; None of anything else."""
    if isinstance(value, (tuple, list)) and len(value) == 1:
        value = value[0]
    if not isinstance(value, (tuple, list)):
        value = (value,) * 3
    taken = all(isinstance(v, (int, torch.SymInt)) and not isinstance(v, bool) for v in value)
    return tuple(value) if taken and len(value) == 3 else None


def why_not_volume(*tensors: Tensor) -> str | None:
    reason = refusal(*tensors)
    if reason is None and torch.jit.is_tracing():  # a traced graph would hold extents as constants
        return "tracing"
    if reason is None and tensors[0].dim() not in (4, 5):
        return "arguments"
    return reason


def contiguous_like(y: Tensor, input: Tensor) -> Tensor:
    """`y`, five-dimensional, with as many dimensions as the input."""
    return (y.squeeze(0) if input.dim() == 4 else y).contiguous()


def shaped_like(y: Tensor, input: Tensor, *others: Tensor) -> Tensor:
    """`y`, five-dimensional, with as many dimensions as the input, and channels_last_3d if one of
    the others or it is."""
    if input.dim() == 4:
        return contiguous_like(y, input)
    formats = {suggest_memory_format(t) for t in (input, *others)}
    last = torch.channels_last_3d
    return y.contiguous(memory_format=last if last in formats else torch.contiguous_format)


def _depth_sides(padding: object, kernel: int, dilation: int) -> tuple[int, int]:
    if not isinstance(padding, str):  # asked first: torch 2.4 compiles no tuple == str
        return padding[0], padding[0]
    total = dilation * (kernel - 1) if padding == "same" else 0
    return total // 2, total - total // 2


def _conv3d_args(x: Tensor, w: Tensor, bias: Tensor | None, stride, padding, dilation, groups):
    """(depth: (front, back, stride, dilation, OD), arguments of conv2d), or None."""
    stride, dilation = triple(stride), triple(dilation)
    padding = padding if isinstance(padding, str) else triple(padding)
    if w.dim() != 5 or None in (stride, padding, dilation):
        return None
    if isinstance(padding, str) and padding not in ("same", "valid"):
        return None
    kernel, x_depth = w.shape[2], x.shape[2]
    if below(1, stride[0], dilation[0], kernel, x_depth):
        return None
    front, back = _depth_sides(padding, kernel, dilation[0])
    depth = (x_depth + front + back - dilation[0] * (kernel - 1) - 1) // stride[0] + 1
    named = isinstance(padding, str)
    if front < 0 or depth < 1 or (named and padding == "same" and stride[0] != 1):
        return None
    in_plane = (padding if named else padding[1:], dilation[1:], groups)
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

    Args:
        stride: pixels from one window to the next, or (depth, rows, columns), 1 or more.
        padding: zeros on each side, or (depth, rows, columns); "same" for an output of the input's
            size, with stride 1; or "valid" for none.
        dilation: pixels from one place of the kernel to the next, or (depth, rows, columns).
        groups: parts that the channels are divided into, each convolved by itself; it divides IC
            and OC.

    Shapes:
        input: (N, IC, ID, IH, IW) or (IC, ID, IH, IW)
        weight: (OC, IC / groups, KD, KH, KW)
        bias: (OC,)
        output: (N, OC, OD, OH, OW), OD as OH in :func:`fastconv.functional.conv2d`

    Types, devices and errors as in :func:`fastconv.functional.conv2d`. torch.jit.trace records
    torch's function.

    Examples:
        >>> x, w = torch.ones(1, 1, 4, 4, 4), torch.ones(1, 1, 3, 3, 3)
        >>> fastconv.functional.conv3d(x, w)[0, 0, 0, 0]
        tensor([27., 27.])
    """
    given = (input, weight, bias)
    arguments = (stride, padding, dilation, groups)
    if has_torch_function(given):
        return overridden(conv3d, given, *given, *arguments)
    reason = why_not_volume(*(given[:2] if bias is None else given))
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
        return contiguous_like(y, input)
    return shaped_like(y, input, weight)
