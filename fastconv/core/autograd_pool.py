"""The torch.autograd.Functions of the pools (see autograd.py). Layer: autograd, over ops.py.

max_pool2d's derivative takes grad_y to the places of the maxima (max_pool2d_backward); the
derivative of that reads those places (torch.gather). The averages and their gradients are each
other's transposes.
"""

import torch
from torch import Tensor

from fastconv.core import ops
from fastconv.core.autograd_base import (
    Function,
    differentiable_backward,
    forward_mode,
    transforming,
)
from fastconv.core.batching import batched
from fastconv.core.tensors import is_channels_last


def _gather(x: Tensor, codes: Tensor, args: tuple) -> Tensor:
    """The elements of x that were the maxima."""
    n, c, *_ = codes.shape
    indices = max_pool2d_indices(codes, x, args)
    return x.reshape(n, c, -1).gather(2, indices.reshape(n, c, -1)).reshape(indices.shape)


# ---- max; args = (kernel, stride, padding, dilation, ceil_mode), or (output_size,) ---------------


def _maxima(x, args, with_codes=True) -> tuple:
    operator = ops.adaptive_max_pool2d if len(args) == 1 else ops.max_pool2d
    return operator(x, *args, with_codes)


def _maxima_indices(codes, x, args) -> Tensor:
    operator = ops.adaptive_max_pool2d_indices if len(args) == 1 else ops.max_pool2d_indices
    return operator(codes, x, *args)


def _maxima_backward(grad_y, codes, x_size, args, channels_last) -> Tensor:
    backward = ops.adaptive_max_pool2d_backward if len(args) == 1 else ops.max_pool2d_backward
    return backward(grad_y, codes, x_size, *args, channels_last)


class MaxPool2dIndices(Function):
    """codes, x, args -> indices, for torch.func, which must be told how to batch them"""

    @staticmethod
    def forward(codes, x, args):
        return _maxima_indices(codes, x, args)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx, _):
        return None, None, None

    @staticmethod
    def jvp(ctx, *_):
        return None

    @staticmethod
    def vmap(info, in_dims, codes, x, args):
        x = x if in_dims[1] is None else x.select(in_dims[1], 0)  # its size alone matters
        if in_dims[0] is None:
            return max_pool2d_indices(codes, x, args), None
        codes = codes.movedim(in_dims[0], 0)
        x = x.expand(info.batch_size, *x.shape).flatten(0, 1)
        indices = max_pool2d_indices(codes.flatten(0, 1), x, args)
        return indices.unflatten(0, codes.shape[:2]), 0


def max_pool2d_indices(codes: Tensor, x: Tensor, args: tuple) -> Tensor:
    """int64 ih * IW + iw of the maxima of x, from their codes kh * KW + kw."""
    if not torch.compiler.is_compiling() and transforming():
        return MaxPool2dIndices.apply(codes, x, args)
    return _maxima_indices(codes, x, args)


class MaxPool2d(Function):
    """x, args -> y, codes"""

    @staticmethod
    def forward(x, args):
        return _maxima(x, args)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, args = inputs
        ctx.call = (args, x.shape, is_channels_last(x))
        codes = output[1]
        ctx.mark_non_differentiable(codes)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(codes)
        ctx.save_for_forward(codes)

    @staticmethod
    def backward(ctx, grad_y, _=None):
        if grad_y is None:
            return None, None
        return max_pool2d_gradient(ctx.call, grad_y, *ctx.saved_tensors), None

    @staticmethod
    @forward_mode
    def jvp(ctx, saved, x_t, *_):
        (codes,) = saved
        return _gather(x_t, codes, ctx.call[0]), None

    @staticmethod
    def vmap(info, in_dims, x, args):
        x = x.movedim(in_dims[0], 0)
        y, codes = MaxPool2d.apply(x.flatten(0, 1), args)
        return (y.unflatten(0, x.shape[:2]), codes.unflatten(0, x.shape[:2])), (0, 0)


def max_pool2d_gradient(call, grad_y, codes) -> Tensor:
    """The gradient of x; call: (args, x_size, channels_last)."""
    args, x_size, channels_last = call
    rest = (x_size, *args, channels_last)
    if differentiable_backward():
        return MaxPool2dBackward.apply(grad_y, codes, rest)
    return _maxima_backward(grad_y, codes, rest[0], rest[1:-1], rest[-1])


class MaxPool2dBackward(Function):
    """grad_y, codes, (x_size, *args, channels_last) -> grad_x"""

    @staticmethod
    def forward(grad_y, codes, rest):
        return _maxima_backward(grad_y, codes, rest[0], rest[1:-1], rest[-1])

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, codes, ctx.rest = inputs
        ctx.save_for_backward(codes)
        ctx.save_for_forward(codes)

    @staticmethod
    def backward(ctx, grad):
        (codes,) = ctx.saved_tensors
        return _gather(grad, codes, ctx.rest[1:-1]), None, None

    @staticmethod
    @forward_mode
    def jvp(ctx, saved, grad_y_t, *_):
        (codes,) = saved
        return MaxPool2dBackward.apply(grad_y_t, codes, ctx.rest)

    @staticmethod
    def vmap(info, in_dims, grad_y, codes, rest):
        batch, (n, *plane), args = info.batch_size, rest[0], rest[1:]
        grad_x = MaxPool2dBackward.apply(
            batched(grad_y, in_dims[0], batch).flatten(0, 1),
            batched(codes, in_dims[1], batch).flatten(0, 1),
            ((n * batch, *plane), *args),
        )
        return grad_x.unflatten(0, (batch, n)), 0


# ---- averages; args = those of ops.avg_pool2d behind x, or (output_size,) ------------------------


def _average(x, args) -> Tensor:
    return ops.adaptive_avg_pool2d(x, *args) if len(args) == 1 else ops.avg_pool2d(x, *args)


def _average_backward(grad_y, x_size, args, channels_last) -> Tensor:
    backward = ops.adaptive_avg_pool2d_backward if len(args) == 1 else ops.avg_pool2d_backward
    return backward(grad_y, x_size, *args, channels_last)


class AvgPool2d(Function):
    """x, args -> y"""

    @staticmethod
    def forward(x, args):
        return _average(x, args)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, args = inputs
        ctx.call = (args, x.shape, is_channels_last(x))

    @staticmethod
    def backward(ctx, grad_y):
        return average_gradient(ctx.call, grad_y), None

    @staticmethod
    @forward_mode
    def jvp(ctx, saved, x_t, *_):
        return AvgPool2d.apply(x_t, ctx.call[0])

    @staticmethod
    def vmap(info, in_dims, x, args):
        x = x.movedim(in_dims[0], 0)
        return AvgPool2d.apply(x.flatten(0, 1), args).unflatten(0, x.shape[:2]), 0


def average_gradient(call, grad_y) -> Tensor:
    """The gradient of x; call: (args, x_size, channels_last)."""
    args, x_size, channels_last = call
    if differentiable_backward():
        return AvgPool2dBackward.apply(grad_y, x_size, args, channels_last)
    return _average_backward(grad_y, x_size, args, channels_last)


class AvgPool2dBackward(Function):
    """grad_y, x_size, args, channels_last -> grad_x"""

    @staticmethod
    def forward(grad_y, x_size, args, channels_last):
        return _average_backward(grad_y, x_size, args, channels_last)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, *ctx.rest = inputs

    @staticmethod
    def backward(ctx, grad):
        return AvgPool2d.apply(grad, ctx.rest[1]), None, None, None

    @staticmethod
    @forward_mode
    def jvp(ctx, saved, grad_y_t, *_):
        return AvgPool2dBackward.apply(grad_y_t, *ctx.rest)

    @staticmethod
    def vmap(info, in_dims, grad_y, x_size, args, channels_last):
        grad_y, (n, *plane) = grad_y.movedim(in_dims[0], 0), x_size
        size = (n * info.batch_size, *plane)
        grad_x = AvgPool2dBackward.apply(grad_y.flatten(0, 1), size, args, channels_last)
        return grad_x.unflatten(0, (info.batch_size, n)), 0
