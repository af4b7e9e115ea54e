"""The torch.autograd.Functions of the pools (see autograd.py). Layer: autograd, over ops.py.

max_pool2d's derivative takes grad_y to the places of the maxima (max_pool2d_backward); the derivative of that reads those
places (torch.gather). The averages and their gradients are each other's transposes.
"""

import torch
from torch import Tensor

from fastconv import ops
from fastconv.autograd import _batched, _differentiable_backward, _Eager


def _gather(x: Tensor, indices: Tensor) -> Tensor:
    """x[n, c, indices[n, c, oh, ow]] of flattened planes."""
    n, c, *_ = indices.shape
    return x.reshape(n, c, -1).gather(2, indices.reshape(n, c, -1)).reshape(indices.shape)


# ---- max; args = (kernel, stride, padding, dilation, ceil_mode) -------------------------------------------------


class MaxPool2d(torch.autograd.Function):
    """x, args -> y, indices"""

    @staticmethod
    def forward(x, args):
        return ops.max_pool2d(x, *args, True)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.args = inputs
        _, indices = output
        ctx.x_size, ctx.channels_last = tuple(x.shape), ops.is_channels_last(x)
        ctx.mark_non_differentiable(indices)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(indices)

    @staticmethod
    def backward(ctx, grad_y, _):
        if grad_y is None:
            return None, None
        (indices,) = ctx.saved_tensors
        rest = (ctx.x_size, *ctx.args, ctx.channels_last)
        if _differentiable_backward():
            return EagerMaxPool2dBackward.apply(grad_y, indices, rest), None
        return ops.max_pool2d_backward(grad_y, indices, *rest), None


class EagerMaxPool2d(_Eager, MaxPool2d):
    @staticmethod
    def setup_context(ctx, inputs, output):
        MaxPool2d.setup_context(ctx, inputs, output)
        ctx.save_for_forward(output[1])

    @staticmethod
    def jvp(ctx, x_t, _):
        (indices,) = ctx.saved_tensors
        return _gather(x_t, indices), None

    @staticmethod
    def vmap(info, in_dims, x, args):
        x = x.movedim(in_dims[0], 0)
        y, indices = EagerMaxPool2d.apply(x.flatten(0, 1), args)
        return (y.unflatten(0, x.shape[:2]), indices.unflatten(0, x.shape[:2])), (0, 0)


class EagerMaxPool2dBackward(_Eager):
    """grad_y, indices, (x_size, *args, channels_last) -> grad_x"""

    @staticmethod
    def forward(grad_y, indices, rest):
        return ops.max_pool2d_backward(grad_y, indices, *rest)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, indices, ctx.rest = inputs
        ctx.save_for_backward(indices)
        ctx.save_for_forward(indices)

    @staticmethod
    def backward(ctx, grad):
        (indices,) = ctx.saved_tensors
        return _gather(grad, indices), None, None

    @staticmethod
    def jvp(ctx, grad_y_t, *_):
        (indices,) = ctx.saved_tensors
        return EagerMaxPool2dBackward.apply(grad_y_t, indices, ctx.rest)

    @staticmethod
    def vmap(info, in_dims, grad_y, indices, rest):
        batch, (n, *plane), args = info.batch_size, rest[0], rest[1:]
        grad_x = EagerMaxPool2dBackward.apply(
            _batched(grad_y, in_dims[0], batch).flatten(0, 1),
            _batched(indices, in_dims[1], batch).flatten(0, 1),
            ((n * batch, *plane), *args),
        )
        return grad_x.unflatten(0, (batch, n)), 0


# ---- averages; args = (kernel, stride, padding, ceil_mode, count_include_pad, divisor), or (output_size,) -------


def _average(x, args) -> Tensor:
    return ops.adaptive_avg_pool2d(x, *args) if len(args) == 1 else ops.avg_pool2d(x, *args)


def _average_backward(grad_y, x_size, args, channels_last) -> Tensor:
    backward = ops.adaptive_avg_pool2d_backward if len(args) == 1 else ops.avg_pool2d_backward
    return backward(grad_y, x_size, *args, channels_last)


class AvgPool2d(torch.autograd.Function):
    """x, args -> y"""

    @staticmethod
    def forward(x, args):
        return _average(x, args)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.args = inputs
        ctx.x_size, ctx.channels_last = tuple(x.shape), ops.is_channels_last(x)

    @staticmethod
    def backward(ctx, grad_y):
        if _differentiable_backward():
            rest = (ctx.x_size, ctx.args, ctx.channels_last)
            return EagerAvgPool2dBackward.apply(grad_y, *rest), None
        return _average_backward(grad_y, ctx.x_size, ctx.args, ctx.channels_last), None


class EagerAvgPool2d(_Eager, AvgPool2d):
    @staticmethod
    def jvp(ctx, x_t, _):
        return EagerAvgPool2d.apply(x_t, ctx.args)

    @staticmethod
    def vmap(info, in_dims, x, args):
        x = x.movedim(in_dims[0], 0)
        return EagerAvgPool2d.apply(x.flatten(0, 1), args).unflatten(0, x.shape[:2]), 0


class EagerAvgPool2dBackward(_Eager):
    """grad_y, x_size, args, channels_last -> grad_x"""

    @staticmethod
    def forward(grad_y, x_size, args, channels_last):
        return _average_backward(grad_y, x_size, args, channels_last)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, *ctx.rest = inputs

    @staticmethod
    def backward(ctx, grad):
        return EagerAvgPool2d.apply(grad, ctx.rest[1]), None, None, None

    @staticmethod
    def jvp(ctx, grad_y_t, *_):
        return EagerAvgPool2dBackward.apply(grad_y_t, *ctx.rest)

    @staticmethod
    def vmap(info, in_dims, grad_y, x_size, args, channels_last):
        grad_y, (n, *plane) = grad_y.movedim(in_dims[0], 0), x_size
        size = (n * info.batch_size, *plane)
        grad_x = EagerAvgPool2dBackward.apply(grad_y.flatten(0, 1), size, args, channels_last)
        return grad_x.unflatten(0, (info.batch_size, n)), 0
