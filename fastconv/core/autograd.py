"""The torch.autograd.Functions: gradients of any order, forward mode and vmap. Layer: autograd,
over ops.py.

conv2d, conv2d_backward_input and conv2d_backward_weight are one trilinear form in (x, w, grad_y),
so each derivative of each is again one of the three. avg_pool2d is linear, and so is max_pool2d
once the places of its maxima are known. A gradient that nobody asked for is not computed. The
gradient of a bias alone, and the bias's part of higher derivatives, are plain sums of torch; with
the gradient of the weight it comes out of the same kernel.

The operators apply these Functions, too (derivatives.py). torch.compile, export and torch.jit.trace
record operators alone.
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
from fastconv.core.batching import batched, fold_channels, more_groups, times, unfold_channels
from fastconv.core.tensors import conv2d_output_size, is_channels_last

_will_execute = getattr(torch._C, "_will_engine_execute_node", None)


def _runs(node: torch.autograd.graph.Node) -> bool:
    try:
        return _will_execute(node)
    except RuntimeError:  # torch raises it for a wanted leaf, and outside of its engine
        return True


def wanted(ctx) -> tuple[bool, ...]:
    """Which of the gradients of (x, w, bias) this backward pass will use.

    needs_input_grad names the gradients that could be used. torch.autograd.grad(y, w) does not use
    the gradient of x, although it is among them.
    """
    needed = ctx.needs_input_grad[:3]
    if sum(needed) < 2 or torch.compiler.is_compiling() or transforming() or _will_execute is None:
        return needed
    tensors = len(ctx.next_functions)  # 2 without a bias
    uses = tuple(n is not None and _runs(n) for n, _ in ctx.next_functions)
    return tuple(n and use for n, use in zip(needed, uses + (False,) * (3 - tensors), strict=True))


def _save(ctx, *tensors: Tensor) -> None:
    ctx.save_for_backward(*tensors)
    if transforming():
        ctx.save_for_forward(*tensors)


def _sum(*terms: Tensor | None) -> Tensor | None:
    present = [t for t in terms if t is not None]
    return sum(present[1:], start=present[0]) if present else None


# ---- convolution; args = (stride, padding, dilation, groups) -------------------------------------


class Conv2d(Function):
    """x, w, bias, args -> y"""

    @staticmethod
    def forward(x, w, bias, args):
        return ops.conv2d(x, w, bias, *args)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, w, _, args = inputs
        ctx.call = (args, x.shape, w.shape, is_channels_last(x), is_channels_last(w))
        if transforming():
            return _save(ctx, x, w)
        needed = ctx.needs_input_grad
        ctx.save_for_backward(x if needed[1] else None, w if needed[0] else None)

    @staticmethod
    def backward(ctx, grad_y):
        return *conv2d_gradients(ctx.call, wanted(ctx), grad_y, *ctx.saved_tensors), None

    @staticmethod
    @forward_mode
    def jvp(ctx, saved, x_t, w_t, bias_t, *_):
        x, w = saved
        args, x_size, w_size, *_ = ctx.call
        by_x = _conv2d(x_t, w, None, args) if x_t is not None else None
        by_w = _conv2d(x, w_t, None, args) if w_t is not None else None
        by_bias = None
        if bias_t is not None:
            by_bias = bias_t[:, None, None]
            if by_x is None and by_w is None:
                by_bias = by_bias.expand(conv2d_output_size(x_size, w_size, args))
        return _sum(by_x, by_w, by_bias)

    @staticmethod
    def vmap(info, in_dims, x, w, bias, args):
        batch = info.batch_size
        x_dim, w_dim, bias_dim, *_ = in_dims
        inner_bias = bias if bias_dim is None and w_dim is None else None
        if w_dim is None:
            x = batched(x, x_dim, batch)
            y = _conv2d(x.flatten(0, 1), w, inner_bias, args).unflatten(0, x.shape[:2])
        else:
            w = batched(w, w_dim, batch).flatten(0, 1)
            if x_dim is None and args[3] == 1:  # every filter looks at the same input
                y = _conv2d(x, w, None, args)
            else:
                x = fold_channels(batched(x, x_dim, batch))
                y = _conv2d(x, w, None, more_groups(args, batch))
            y = unfold_channels(y, batch)
        if bias is not None and inner_bias is None:
            y = y + batched(bias, bias_dim, batch)[:, None, :, None, None]
        return y, 0


class Conv2dBackwardInput(Function):
    """grad_y, w, x_size, args, channels_last -> grad_x"""

    @staticmethod
    def forward(grad_y, w, x_size, args, channels_last):
        return ops.conv2d_backward_input(grad_y, w, x_size, *args, channels_last)

    @staticmethod
    def setup_context(ctx, inputs, output):
        grad_y, w, *ctx.rest = inputs
        ctx.y_last, ctx.w_last = is_channels_last(grad_y), is_channels_last(w)
        _save(ctx, grad_y, w)

    @staticmethod
    def backward(ctx, grad):  # grad has the size of x
        grad_y, w = ctx.saved_tensors
        args = ctx.rest[1]
        by_grad_y = by_w = None
        if ctx.needs_input_grad[0]:
            by_grad_y = _conv2d(grad, w, None, args)
        if ctx.needs_input_grad[1]:
            by_w, _ = _backward_weight(grad_y, grad, tuple(w.shape), args, ctx.w_last, False)
        return by_grad_y, by_w, None, None, None

    @staticmethod
    @forward_mode
    def jvp(ctx, saved, grad_y_t, w_t, *_):
        grad_y, w = saved
        apply = Conv2dBackwardInput.apply
        return _sum(
            apply(grad_y_t, w, *ctx.rest) if grad_y_t is not None else None,
            apply(grad_y, w_t, *ctx.rest) if w_t is not None else None,
        )

    @staticmethod
    def vmap(info, in_dims, grad_y, w, x_size, args, channels_last):
        batch, apply = info.batch_size, Conv2dBackwardInput.apply
        grad_y = batched(grad_y, in_dims[0], batch)
        if in_dims[1] is None:
            folded = apply(grad_y.flatten(0, 1), w, times(x_size, 0, batch), args, channels_last)
            return folded.unflatten(0, (batch, x_size[0])), 0
        w = batched(w, in_dims[1], batch).flatten(0, 1)
        size, more = times(x_size, 1, batch), more_groups(args, batch)
        return unfold_channels(apply(fold_channels(grad_y), w, size, more, False), batch), 0


class Conv2dBackwardWeight(Function):
    """grad_y, x, w_size, args, channels_last -> grad_w"""

    @staticmethod
    def forward(grad_y, x, w_size, args, channels_last):
        return ops.conv2d_backward_weight(grad_y, x, w_size, *args, channels_last, False)[0]

    @staticmethod
    def setup_context(ctx, inputs, output):
        grad_y, x, *ctx.rest = inputs
        ctx.x_last = is_channels_last(x)
        _save(ctx, grad_y, x)

    @staticmethod
    def backward(ctx, grad):  # grad has the size of w
        grad_y, x = ctx.saved_tensors
        args = ctx.rest[1]
        by_grad_y = by_x = None
        if ctx.needs_input_grad[0]:
            by_grad_y = _conv2d(x, grad, None, args)
        if ctx.needs_input_grad[1]:
            by_x = _backward_input(grad_y, grad, tuple(x.shape), args, ctx.x_last)
        return by_grad_y, by_x, None, None, None

    @staticmethod
    @forward_mode
    def jvp(ctx, saved, grad_y_t, x_t, *_):
        grad_y, x = saved
        apply = Conv2dBackwardWeight.apply
        return _sum(
            apply(grad_y_t, x, *ctx.rest) if grad_y_t is not None else None,
            apply(grad_y, x_t, *ctx.rest) if x_t is not None else None,
        )

    @staticmethod
    def vmap(info, in_dims, grad_y, x, w_size, args, channels_last):
        batch = info.batch_size
        grad_w = Conv2dBackwardWeight.apply(
            fold_channels(batched(grad_y, in_dims[0], batch)),
            fold_channels(batched(x, in_dims[1], batch)),
            times(w_size, 0, batch),
            more_groups(args, batch),
            False,
        )
        return grad_w.unflatten(0, (batch, w_size[0])), 0


def conv2d_gradients(call, needed, grad_y, x, w) -> tuple:
    """The gradients of x, w and bias that are `needed`.

    call: (args, x_size, w_size, x_last, w_last).
    """
    args, x_size, w_size, x_last, w_last = call
    x_needed, w_needed, bias_needed = needed
    grad_x = grad_w = grad_bias = None
    if x_needed:
        grad_x = _backward_input(grad_y, w, x_size, args, x_last)
    if w_needed:
        grad_w, grad_bias = _backward_weight(grad_y, x, w_size, args, w_last, bias_needed)
    elif bias_needed:
        grad_bias = grad_y.sum((0, 2, 3))
    return grad_x, grad_w, grad_bias


def _conv2d(x, w, bias, args) -> Tensor:
    return Conv2d.apply(x, w, bias, args)


def _backward_input(grad_y, w, x_size, args, channels_last) -> Tensor:
    if differentiable_backward():
        return Conv2dBackwardInput.apply(grad_y, w, x_size, args, channels_last)
    return ops.conv2d_backward_input(grad_y, w, x_size, *args, channels_last)


def _backward_weight(grad_y, x, w_size, args, channels_last, with_bias) -> tuple:
    if differentiable_backward():
        grad_w = Conv2dBackwardWeight.apply(grad_y, x, w_size, args, channels_last)
        return grad_w, grad_y.sum((0, 2, 3)) if with_bias else None
    grad_w, grad_bias = ops.conv2d_backward_weight(
        grad_y, x, w_size, *args, channels_last, with_bias
    )
    return grad_w, grad_bias if with_bias else None
