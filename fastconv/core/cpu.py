"""The kernels of fastconv._C on CPU tensors: tensors in, tensors out, no autograd. ops.py says
which operators run them. Layer: operators, below ops.py.

The arguments of a pool are those of its operator behind the tensors, so one function runs windows
of every kind. Padding of convolutions is (top, bottom, left, right). Where tensors must share a
memory format, `channels_last` says so.
"""

from collections.abc import Callable
from functools import lru_cache
from math import inf, prod

import torch
from torch import Tensor

from fastconv.core.extension import _C
from fastconv.core.tensors import (
    buffer,
    conv2d_output_size,
    dense,
    is_channels_last,
    is_dense,
    is_output_channels_last,
    new_tensor,
)

KERNEL_DTYPES = {getattr(torch, name): number for name, number in _C.DTYPES.items()}
_threads = torch.get_num_threads


def shared_dtype(first: Tensor, *others: Tensor | None) -> torch.dtype:
    """The element type that all share; they lie on one device."""
    for t in others:
        if t is not None and t.dtype is not first.dtype:
            raise RuntimeError(f"fastconv: tensors of {first.dtype} and {t.dtype} do not mix")
        if t is not None and t.device != first.device:
            raise RuntimeError(f"fastconv: tensors on {first.device} and {t.device} do not mix")
    return first.dtype


def _kernel_dtype(*tensors: Tensor | None) -> int:
    """The number of the element type that all share."""
    dtype = shared_dtype(*tensors)
    try:
        return KERNEL_DTYPES[dtype]
    except KeyError:
        raise NotImplementedError(f"fastconv: no kernel for {dtype}") from None


@lru_cache(maxsize=4096)
def conv2d_shape(x_size, w_size, args, *channels_last) -> "_C.Conv2dShape":
    return _C.Conv2dShape(x_size, w_size, *args, *channels_last)


def pool2d_shape_of(library) -> Callable:
    """(x_size, args, channels_last) -> library.Pool2dShape.

    `args`: the arguments of max_pool2d or avg_pool2d that follow x; of adaptive pools
    (output_size,).
    """
    Shape = library.Pool2dShape

    def pool2d_shape(x_size, args, channels_last):
        if len(args) == 1:
            return Shape.adaptive(x_size, args[0], channels_last)
        if len(args) == 5:
            return Shape(x_size, *args, True, 0, channels_last)
        kernel, stride, padding, ceil_mode, include, divisor = args
        return Shape(
            x_size, kernel, stride, padding, (1, 1), ceil_mode, include, divisor or 0, channels_last
        )

    return pool2d_shape


pool2d_shape = lru_cache(maxsize=4096)(pool2d_shape_of(_C))


def new_pooled(
    x: Tensor, shape: "_C.Pool2dShape", channels_last: bool, dtype: torch.dtype | None = None
) -> Tensor:
    return new_tensor(x, (shape.N, shape.C, shape.OH, shape.OW), channels_last, dtype)


def code_dtype(args: tuple) -> torch.dtype:
    """Of the codes kh * KW + kw of max pooling; `args`: as for pool2d_shape."""
    return torch.uint8 if len(args) > 1 and prod(args[0]) <= 256 else torch.int32


def check_codes(codes: Tensor, args: tuple) -> None:
    if codes.dtype is not code_dtype(args):
        raise RuntimeError(f"fastconv: codes of {codes.dtype} are not those of max_pool2d")


def caches_filters(w: Tensor) -> bool:
    """Whether the transformed filters of w may be kept. A dense copy of w has another
    address at every call, so they are not kept for it."""
    return w.dtype in KERNEL_DTYPES and is_dense(w, is_channels_last(w))


def check_addend(addend: Tensor | None, y_size: tuple) -> None:
    if addend is not None and tuple(addend.shape) != tuple(y_size):
        sizes = f"{list(addend.shape)}, and the result {list(y_size)}"
        raise ValueError(f"fastconv: the addend has the size {sizes}")


def conv2d(x, w, bias, stride, padding, dilation, groups, cache_filters=False):
    """`cache_filters`, for inference: transformed filters are kept until w changes."""
    args = (stride, padding, dilation, groups)
    return conv2d_fused(x, w, bias, None, None, None, *args, cache_filters)


def conv2d_fused(
    x, w, bias, addend, lowest, highest, stride, padding, dilation, groups, cache_filters=False
):
    """clamp(conv2d + addend, lowest, highest); None: no addend, no bound."""
    args = (stride, padding, dilation, groups)
    x_last, w_last = is_channels_last(x), is_channels_last(w)
    y_size = conv2d_output_size(x.shape, w.shape, args)
    y_last = is_output_channels_last(x, w, y_size, groups)
    dtype = _kernel_dtype(x, w, bias, addend)
    check_addend(addend, y_size)
    cache_filters = cache_filters and caches_filters(w)
    x, w = dense(x, x_last), dense(w, w_last)
    bias = None if bias is None else bias.contiguous()
    addend = None if addend is None else dense(addend, y_last)
    shape = conv2d_shape(x.shape, w.shape, args, x_last, w_last, y_last)
    y = new_tensor(x, y_size, y_last)
    _C.conv2d_forward(
        dtype, shape, buffer(x), buffer(w),
        buffer(bias),
        buffer(y), _threads(), "", cache_filters, buffer(addend),
        -inf if lowest is None else lowest, inf if highest is None else highest,
    )  # fmt: skip
    return y


def conv2d_backward_input(grad_y, w, x_size, stride, padding, dilation, groups, x_channels_last):
    y_last, w_last = is_channels_last(grad_y), is_channels_last(w)
    grad_y, w = dense(grad_y, y_last), dense(w, w_last)
    args = (stride, padding, dilation, groups)
    shape = conv2d_shape(x_size, w.shape, args, x_channels_last, w_last, y_last)
    grad_x = new_tensor(grad_y, x_size, x_channels_last)
    _C.conv2d_backward_input(
        _kernel_dtype(grad_y, w), shape, buffer(grad_y), buffer(w),
        buffer(grad_x), _threads(),
    )  # fmt: skip
    return grad_x


def conv2d_backward_weight(
    grad_y, x, w_size, stride, padding, dilation, groups, w_channels_last, with_bias
):
    y_last, x_last = is_channels_last(grad_y), is_channels_last(x)
    grad_y, x = dense(grad_y, y_last), dense(x, x_last)
    args = (stride, padding, dilation, groups)
    shape = conv2d_shape(x.shape, w_size, args, x_last, w_channels_last, y_last)
    grad_w = new_tensor(x, w_size, w_channels_last)
    grad_bias = x.new_empty(w_size[0] if with_bias else 0)
    _C.conv2d_backward_weight(
        _kernel_dtype(grad_y, x), shape, buffer(grad_y), buffer(x),
        buffer(grad_w),
        buffer(grad_bias if with_bias else None), _threads(),
    )  # fmt: skip
    return grad_w, grad_bias


def max_pool2d(x, *args_and_codes):
    args, with_codes = args_and_codes[:-1], args_and_codes[-1]
    channels_last = is_channels_last(x)
    x, shape = dense(x, channels_last), pool2d_shape(x.shape, args, channels_last)
    y = new_pooled(x, shape, channels_last)
    if with_codes:
        codes = new_pooled(x, shape, channels_last, code_dtype(args))
    else:
        codes = x.new_empty(0, dtype=torch.uint8)
    _C.max_pool2d_forward(
        _kernel_dtype(x), shape, buffer(x), buffer(y),
        buffer(codes if with_codes else None), _threads(),
    )  # fmt: skip
    return y, codes


def max_pool2d_indices(codes, x, *args):
    """int64 ih * IW + iw of the maxima. Only the size of x matters: a traced graph has x at hand,
    but its extents only as constants."""
    check_codes(codes, args)
    channels_last = not codes.is_contiguous()
    codes = dense(codes, channels_last)
    shape = pool2d_shape(x.shape, args, channels_last)
    indices = torch.empty_like(codes, dtype=torch.int64)
    _C.max_pool2d_indices(shape, buffer(codes), buffer(indices), _threads())
    return indices


def max_pool2d_backward(grad_y, codes, x_size, *args_and_layout):
    args, channels_last = args_and_layout[:-1], args_and_layout[-1]
    check_codes(codes, args)
    grad_y, codes = dense(grad_y, channels_last), dense(codes, channels_last)
    grad_x = new_tensor(grad_y, x_size, channels_last)
    _C.max_pool2d_backward(
        _kernel_dtype(grad_y), pool2d_shape(x_size, args, channels_last),
        buffer(grad_y), buffer(codes),
        buffer(grad_x), _threads(),
    )  # fmt: skip
    return grad_x


def avg_pool2d(x, *args):
    _kernel_dtype(x)
    channels_last = is_channels_last(x)
    x, shape = dense(x, channels_last), pool2d_shape(x.shape, args, channels_last)
    y = new_pooled(x, shape, channels_last)
    _C.avg_pool2d_forward(_kernel_dtype(x), shape, buffer(x), buffer(y), _threads())
    return y


def avg_pool2d_backward(grad_y, x_size, *args_and_layout):
    args, channels_last = args_and_layout[:-1], args_and_layout[-1]
    grad_y = dense(grad_y, channels_last)
    grad_x = new_tensor(grad_y, x_size, channels_last)
    _C.avg_pool2d_backward(
        _kernel_dtype(grad_y), pool2d_shape(x_size, args, channels_last),
        buffer(grad_y), buffer(grad_x), _threads(),
    )  # fmt: skip
    return grad_x


def check_unpooled(indices: Tensor, size: tuple) -> None:
    """`size`: of what the indices are for, in images and channels, or in all."""
    if indices.dtype is not torch.int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices.dtype}")
    if tuple(indices.shape[: len(size)]) != tuple(size):
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(size)}) but "
            f"got indices tensor with shape: {list(indices.shape)}"
        )


@lru_cache(maxsize=4096)
def unpool_shape(x_size: tuple, output_size: tuple, channels_last: bool) -> "_C.UnpoolShape":
    return _C.UnpoolShape(x_size, output_size, channels_last)


def max_unpool(x, indices, output_size):
    """Of images, or of volumes; `output_size`: as many extents as a plane or volume has."""
    check_unpooled(indices, x.shape)
    channels_last = x.dim() == 4 and is_channels_last(x)
    x, indices = dense(x, channels_last), dense(indices, channels_last)
    y = new_tensor(x, (*x.shape[:2], *output_size), channels_last)
    _C.max_unpool_forward(
        _kernel_dtype(x), unpool_shape(x.shape, output_size, channels_last),
        buffer(x), buffer(indices),
        buffer(y), _threads(),
    )  # fmt: skip
    return y


def max_unpool_backward(grad_y, indices, channels_last):
    check_unpooled(indices, grad_y.shape[:2])
    grad_y, indices = dense(grad_y, channels_last), dense(indices, channels_last)
    grad_x = new_tensor(grad_y, indices.shape, channels_last)
    _C.max_unpool_backward(
        _kernel_dtype(grad_y), unpool_shape(indices.shape, grad_y.shape[2:], channels_last),
        buffer(grad_y), buffer(indices),
        buffer(grad_x), _threads(),
    )  # fmt: skip
    return grad_x
