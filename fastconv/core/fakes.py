"""What compilers and tracers need to know of the operators: sizes, memory formats and
multiply-adds. Layer: operators.
"""

import torch
from torch.utils.flop_counter import flop_registry, register_flop_formula

from fastconv.core import inductor
from fastconv.core.ops import code_dtype
from fastconv.core.tensors import (
    conv2d_output_size,
    is_channels_last,
    is_output_channels_last,
    new_tensor,
    pooled_size,
)

_ops = torch.ops.fastconv


@torch.library.register_fake("fastconv::conv2d")
def _(x, w, bias, stride, padding, dilation, groups, cache_filters=False):
    inductor.prepare()
    size = conv2d_output_size(x.shape, w.shape, (stride, padding, dilation, groups))
    return new_tensor(x, size, is_output_channels_last(x, w, size, groups))


@torch.library.register_fake("fastconv::conv2d_backward_input")
def _(grad_y, w, x_size, stride, padding, dilation, groups, x_channels_last):
    inductor.prepare()
    return new_tensor(grad_y, x_size, x_channels_last)


@torch.library.register_fake("fastconv::conv2d_backward_weight")
def _(grad_y, x, w_size, stride, padding, dilation, groups, w_channels_last, with_bias):
    return new_tensor(x, w_size, w_channels_last), x.new_empty(w_size[0] if with_bias else 0)


@torch.library.register_fake("fastconv::max_pool2d")
def _(x, kernel, stride, padding, dilation, ceil_mode, with_codes):
    inductor.prepare()
    size = pooled_size(x.shape, kernel, stride, padding, dilation, ceil_mode)
    y = new_tensor(x, size, is_channels_last(x))
    if with_codes:
        return y, new_tensor(x, size, is_channels_last(x), code_dtype((kernel, stride)))
    return y, x.new_empty(0, dtype=torch.uint8)


@torch.library.register_fake("fastconv::max_pool2d_indices")
def _(codes, x, kernel, stride, padding, dilation, ceil_mode):
    return torch.empty_like(codes, dtype=torch.int64)


@torch.library.register_fake("fastconv::max_pool2d_backward")
def _(grad_y, codes, x_size, kernel, stride, padding, dilation, ceil_mode, channels_last):
    return new_tensor(grad_y, x_size, channels_last)


@torch.library.register_fake("fastconv::adaptive_max_pool2d")
def _(x, output_size, with_codes):
    inductor.prepare()
    size, last = (x.shape[0], x.shape[1], *output_size), is_channels_last(x)
    if with_codes:
        return new_tensor(x, size, last), new_tensor(x, size, last, code_dtype((output_size,)))
    return new_tensor(x, size, last), x.new_empty(0, dtype=torch.uint8)


@torch.library.register_fake("fastconv::adaptive_max_pool2d_indices")
def _(codes, x, output_size):
    return torch.empty_like(codes, dtype=torch.int64)


@torch.library.register_fake("fastconv::adaptive_max_pool2d_backward")
def _(grad_y, codes, x_size, output_size, channels_last):
    return new_tensor(grad_y, x_size, channels_last)


@torch.library.register_fake("fastconv::avg_pool2d")
def _(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor):
    inductor.prepare()
    size = pooled_size(x.shape, kernel, stride, padding, (1, 1), ceil_mode)
    return new_tensor(x, size, is_channels_last(x))


@torch.library.register_fake("fastconv::avg_pool2d_backward")
def _(
    grad_y, x_size, kernel, stride, padding, ceil_mode, count_include_pad, divisor, channels_last
):
    return new_tensor(grad_y, x_size, channels_last)


@torch.library.register_fake("fastconv::adaptive_avg_pool2d")
def _(x, output_size):
    inductor.prepare()
    return new_tensor(x, (x.shape[0], x.shape[1], *output_size), is_channels_last(x))


@torch.library.register_fake("fastconv::adaptive_avg_pool2d_backward")
def _(grad_y, x_size, output_size, channels_last):
    return new_tensor(grad_y, x_size, channels_last)


def _flops(y_size, w_size) -> int:
    n, _, height, width = y_size
    oc, group_ic, kernel_height, kernel_width = w_size
    return 2 * n * oc * height * width * group_ic * kernel_height * kernel_width


@register_flop_formula(_ops.conv2d)
def _(x_size, w_size, *_, out_shape, **__):
    return _flops(out_shape, w_size)


@register_flop_formula(_ops.conv2d_backward_input)
def _(grad_y_size, w_size, *_, **__):
    return _flops(grad_y_size, w_size)


@register_flop_formula(_ops.conv2d_backward_weight)
def _(grad_y_size, x_size, w_size, *_, **__):
    return _flops(grad_y_size, w_size)


# torch 2.4 files a formula under an overload, and looks for it under the operator.
for _operator in (_ops.conv2d, _ops.conv2d_backward_input, _ops.conv2d_backward_weight):
    flop_registry.setdefault(_operator, flop_registry.get(_operator.default))
