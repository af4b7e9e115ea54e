"""The operators by their names, as a graph holds them, with the signatures of functional."""

import torch
from torch import Tensor

from fastconv.core.arguments import avg_pool2d_args, conv2d_args, max_pool2d_args

_ops = torch.ops.fastconv


def _image(x: Tensor) -> Tensor:
    return x.unsqueeze(0) if x.dim() == 3 else x


def conv2d(x: Tensor, w: Tensor, b: Tensor | None = None, *, stride=1, padding=0, dilation=1,
           groups=1) -> Tensor:  # fmt: skip
    args = conv2d_args(_image(x).shape, w.shape, None, stride, padding, dilation, groups)
    y = _ops.conv2d(_image(x), w, b, *args)
    return y[0] if x.dim() == 3 else y


def max_pool2d(x: Tensor, kernel, stride=None, padding=0, dilation=1, ceil_mode=False) -> Tensor:
    args = max_pool2d_args(_image(x).shape, kernel, stride, padding, dilation, ceil_mode)
    y, _ = _ops.max_pool2d(_image(x), *args, False)
    return y[0] if x.dim() == 3 else y


def avg_pool2d(x: Tensor, kernel, stride=None, padding=0, ceil_mode=False, include=True,
               divisor=None) -> Tensor:  # fmt: skip
    size = _image(x).shape
    y = _ops.avg_pool2d(
        _image(x), *avg_pool2d_args(size, kernel, stride, padding, ceil_mode, include, divisor)
    )
    return y[0] if x.dim() == 3 else y


def adaptive_avg_pool2d(x: Tensor, output_size) -> Tensor:
    size = (output_size,) * 2 if isinstance(output_size, int) else output_size
    y = _ops.adaptive_avg_pool2d(_image(x), size)
    return y[0] if x.dim() == 3 else y
