"""What compilers and tracers need to know of the kernels: sizes, memory formats and multiply-adds.
Each fake takes the arguments of its namesake in cpu.py. Layer: operators, below ops.py.
"""

import torch

from fastconv.core.cpu import check_addend, check_unpooled, code_dtype
from fastconv.core.tensors import (
    conv2d_output_size,
    is_channels_last,
    is_output_channels_last,
    new_tensor,
    pooled_size,
)


def conv2d(x, w, bias, stride, padding, dilation, groups, cache_filters=False):
    size = conv2d_output_size(x.shape, w.shape, (stride, padding, dilation, groups))
    return new_tensor(x, size, is_output_channels_last(x, w, size, groups))


def conv2d_fused(x, w, bias, addend, lowest, highest, *args_and_cache):
    y = conv2d(x, w, bias, *args_and_cache)
    check_addend(addend, y.shape)
    return y


def conv2d_backward_input(grad_y, w, x_size, stride, padding, dilation, groups, x_channels_last):
    return new_tensor(grad_y, x_size, x_channels_last)


def conv2d_backward_weight(
    grad_y, x, w_size, stride, padding, dilation, groups, w_channels_last, with_bias
):
    return new_tensor(x, w_size, w_channels_last), x.new_empty(w_size[0] if with_bias else 0)


def _size(x, kernel_or_output, stride=None, *rest) -> tuple:
    """Of the result of a pool; the arguments are those of max_pool2d, or an output size."""
    if stride is None:
        return x.shape[0], x.shape[1], *kernel_or_output
    return pooled_size(x.shape, kernel_or_output, stride, *rest)


def max_pool2d(x, *args_and_codes):
    args, with_codes = args_and_codes[:-1], args_and_codes[-1]
    size, last = _size(x, *args), is_channels_last(x)
    y = new_tensor(x, size, last)
    if with_codes:
        return y, new_tensor(x, size, last, code_dtype(args))
    return y, x.new_empty(0, dtype=torch.uint8)


def max_pool2d_indices(codes, x, *args):
    return torch.empty_like(codes, dtype=torch.int64)


def avg_pool2d(x, *args):
    if len(args) > 1:
        kernel, stride, padding, ceil_mode, *_ = args
        args = (kernel, stride, padding, (1, 1), ceil_mode)
    return new_tensor(x, _size(x, *args), is_channels_last(x))


def pool2d_backward(grad_y, *args):
    """Of either pool: grad_y, codes of max pooling, x_size, arguments, channels_last."""
    x_size = args[1] if isinstance(args[0], torch.Tensor) else args[0]
    return new_tensor(grad_y, x_size, args[-1])


def max_unpool(x, indices, output_size):
    check_unpooled(indices, x.shape)
    last = x.dim() == 4 and is_channels_last(x)
    return new_tensor(x, (*x.shape[:2], *output_size), last)


def max_unpool_backward(grad_y, indices, channels_last):
    check_unpooled(indices, grad_y.shape[:2])
    return new_tensor(grad_y, indices.shape, channels_last)


# ---- multiply-adds, two operations each ----------------------------------------------------------


def _flops(y_size, w_size) -> int:
    n, _, height, width = y_size
    oc, group_ic, kernel_height, kernel_width = w_size
    return 2 * n * oc * height * width * group_ic * kernel_height * kernel_width


def conv2d_multiply_adds(x_size, w_size, *_, out_shape, **__):
    return _flops(out_shape, w_size)


def conv2d_backward_input_multiply_adds(grad_y_size, w_size, *_, **__):
    return _flops(grad_y_size, w_size)


def conv2d_backward_weight_multiply_adds(grad_y_size, x_size, w_size, *_, **__):
    return _flops(grad_y_size, w_size)
