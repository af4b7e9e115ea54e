"""The torch.autograd.Functions of max_unpool (see autograd.py). Layer: autograd, over ops.py.

Its derivative reads grad_y at the indices, and the derivative of that adds to the places of the
indices. Of equal indices each gets the gradient, as torch has it, though the last alone is in y.
"""

import torch
from torch import Tensor

from fastconv.core import ops
from fastconv.core.autograd_base import Function, differentiable_backward, forward_mode
from fastconv.core.batching import batched
from fastconv.core.tensors import is_channels_last


def _folded(info, in_dims: tuple, *tensors: Tensor) -> list[Tensor]:
    """Tensors with their batches as more images."""
    pairs = zip(tensors, in_dims, strict=False)
    return [batched(t, dim, info.batch_size).flatten(0, 1) for t, dim in pairs]


def _unfolded(info, t: Tensor) -> tuple[Tensor, int]:
    """The inverse, and where the batches lie."""
    return t.unflatten(0, (info.batch_size, t.shape[0] // info.batch_size)), 0


class MaxUnpool(Function):
    """x, indices, output_size -> y"""

    @staticmethod
    def forward(x, indices, output_size):
        return ops.run("max_unpool", x, indices, output_size)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, indices, ctx.output_size = inputs
        ctx.channels_last = x.dim() == 4 and is_channels_last(x)
        ctx.save_for_backward(indices)
        ctx.save_for_forward(indices)

    @staticmethod
    def backward(ctx, grad_y):
        (indices,) = ctx.saved_tensors
        if differentiable_backward():
            return MaxUnpoolBackward.apply(grad_y, indices, ctx.channels_last), None, None
        return ops.run("max_unpool_backward", grad_y, indices, ctx.channels_last), None, None

    @staticmethod
    @forward_mode
    def jvp(ctx, saved, x_t, *_):
        return MaxUnpool.apply(x_t, *saved, ctx.output_size)

    @staticmethod
    def vmap(info, in_dims, x, indices, output_size):
        y = MaxUnpool.apply(*_folded(info, in_dims, x, indices), output_size)
        return _unfolded(info, y)


class MaxUnpoolBackward(Function):
    """grad_y, indices, channels_last -> grad_x"""

    @staticmethod
    def forward(grad_y, indices, channels_last):
        return ops.run("max_unpool_backward", grad_y, indices, channels_last)

    @staticmethod
    def setup_context(ctx, inputs, output):
        grad_y, indices, ctx.channels_last = inputs
        ctx.y_size = grad_y.shape
        ctx.save_for_backward(indices)
        ctx.save_for_forward(indices)

    @staticmethod
    def backward(ctx, grad):
        (indices,) = ctx.saved_tensors
        zeros = torch.zeros(ctx.y_size, dtype=grad.dtype, device=grad.device).flatten(2)
        added = zeros.scatter_add(2, indices.flatten(2), grad.flatten(2))
        return added.view(ctx.y_size), None, None

    @staticmethod
    @forward_mode
    def jvp(ctx, saved, grad_y_t, *_):
        return MaxUnpoolBackward.apply(grad_y_t, *saved, ctx.channels_last)

    @staticmethod
    def vmap(info, in_dims, grad_y, indices, channels_last):
        grad_x = MaxUnpoolBackward.apply(*_folded(info, in_dims, grad_y, indices), channels_last)
        return _unfolded(info, grad_x)
