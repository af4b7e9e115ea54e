"""conv1d with the signature of torch.nn.functional: a conv2d of images with one row, IH = KH = 1.
Layer: functional, over functional.py.
"""

import torch
from torch import Tensor
from torch.overrides import has_torch_function

from fastconv import functional
from fastconv.core.arguments import conv2d_args, refusal
from fastconv.core.fallbacks import F, to_torch
from fastconv.core.overrides import overridden
from fastconv.core.tensors import size_of

IntOrSingle = int | tuple[int, ...] | list[int]


def _single(value: object) -> object:
    """v of (v,) or [v], as torch takes int[1]; anything else as it is."""
    if isinstance(value, (tuple, list)) and len(value) == 1:
        return value[0]
    return value


def _row_size(t: Tensor) -> tuple:
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

    Shapes:
        input: (N, IC, IW) or (IC, IW)
        weight: (OC, IC / groups, KW); bias: (OC,)
        output: (N, OC, OW), OW = (IW + 2 * padding - dilation * (KW - 1) - 1) // stride + 1;
            contiguous

    Types, devices and errors as in :func:`fastconv.functional.conv2d`.
    """
    given = (input, weight, bias)
    if has_torch_function(given):
        torchs = torch.nn.functional.conv1d
        return overridden(torchs, conv1d, given, *given, stride, padding, dilation, groups)
    tensors = given[:2] if bias is None else given
    reason = refusal(*tensors)
    if reason == "dtype" and torch.is_autocast_enabled("cpu"):
        reason = None  # conv2d makes them one type
    if reason is None:
        strides, dilations = (1, _single(stride)), (1, _single(dilation))
        paddings = padding if isinstance(padding, str) else (0, _single(padding))
        if _is_taken(input, weight, bias, strides, paddings, dilations, groups):
            rows, filters = input.unsqueeze(-2), weight.unsqueeze(-2)
            y = functional.conv2d(rows, filters, bias, strides, paddings, dilations, groups)
            return y.squeeze(-2).contiguous()
        reason = "arguments"
    return to_torch(F.conv1d, reason, *given, stride, padding, dilation, groups)


def _is_taken(input, weight, bias, *arguments) -> bool:
    """Whether conv2d has a kernel for it; else torch's conv1d decides, with its own errors."""
    if input.dim() not in (2, 3) or weight.dim() != 3:
        return False
    size = _row_size(input) if input.dim() == 3 else (1, *_row_size(input))
    bias_size = None if bias is None else size_of(bias)
    return conv2d_args(size, _row_size(weight), bias_size, *arguments) is not None
