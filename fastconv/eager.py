"""The short way of plain eager calls: one call of fastconv._C from tensors to result. Layer: above
autograd, below functional.

Plain: dense CPU tensors of a type that has kernels, and nobody who would want to see operators.
Each function here takes the arguments of its namesake in functional.py by position and returns None
for a call that is not plain; the general way then decides. csrc/bindings/eager.cpp does the work:
it reads the tensors through DLPack, and keeps a plan for each kind of call, made here once.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fastconv import ops
from fastconv.arguments import adaptive_args, avg_pool2d_args, conv2d_args, max_pool2d_args
from fastconv.autograd import Conv2d, direct_apply
from fastconv.autograd_pool import AvgPool2d, MaxPool2d
from fastconv.extension import _C


class _Plain(torch.autograd.Function):
    """A Function whose forward(ctx, *inputs) is compiled."""

    # torch asks for these by name on every call; found here, they are found soonest.
    setup_context = staticmethod(torch.autograd.Function.setup_context)
    clear_saved_tensors_on_access = False
    boxed_grads_call = False


class PlainConv2d(_Plain):
    """x, w, bias, plan -> y"""

    forward = staticmethod(_C.function_conv2d)
    backward = staticmethod(Conv2d.backward)


class PlainMaxPool2d(_Plain):
    """x, plan -> y"""

    forward = staticmethod(_C.function_max_pool2d)
    backward = staticmethod(MaxPool2d.backward)


class PlainAvgPool2d(_Plain):
    """x, plan -> y"""

    forward = staticmethod(_C.function_average)
    backward = staticmethod(AvgPool2d.backward)


def _prototype(t: Tensor) -> Tensor:
    """`t` without its memory: what torch.empty_like needs to make tensors like it."""
    t.untyped_storage().resize_(0)
    return t


def _plan_conv2d(x: Tensor, w: Tensor, bias: Tensor | None, *given: object) -> tuple | None:
    args = conv2d_args(x.shape, w.shape, None if bias is None else bias.shape, *given)
    x_last, w_last = ops.is_channels_last(x), ops.is_channels_last(w)
    if args is None or not (ops.is_dense(x, x_last) and ops.is_dense(w, w_last)):
        return None
    if bias is not None and not bias.is_contiguous():
        return None
    shape = ops.conv2d_shape(x.shape, w.shape, args, x_last, w_last, x_last or w_last)
    y = ops.new_tensor(x, (shape.N, shape.OC, shape.OH, shape.OW), x_last or w_last)
    call = (args, x.shape, w.shape, x_last, w_last)
    return shape, ops.KERNEL_DTYPES[x.dtype], _prototype(y), None, call


def _pool_planner(arguments: Callable) -> Callable:
    """`arguments`: the function that checks those of a pool."""

    def plan(x: Tensor, *given: object) -> tuple | None:
        args, last = arguments(x.shape, *given), ops.is_channels_last(x)
        if args is None or not ops.is_dense(x, last):
            return None
        shape = ops.pool2d_shape(x.shape, args, last)
        y = ops.new_pooled(x, shape, last)
        codes = None
        if arguments is max_pool2d_args:
            codes = _prototype(ops.new_pooled(x, shape, last, ops.code_dtype(args[0])))
        return shape, ops.KERNEL_DTYPES[x.dtype], _prototype(y), codes, (args, x.shape, last)

    return plan


def _not_plain(*_: object) -> None:
    return None


# torch before 2.10 has no exchange API: every call there goes the general way.
_api = getattr(Tensor, "__dlpack_c_exchange_api__", None)
available = _api is not None and _C.eager_setup(
    exchange_api=_api,
    types=[Tensor, torch.nn.Parameter],
    watchers=[*ops.WATCHERS, torch._C._is_any_autocast_enabled],
    grad_enabled=torch.is_grad_enabled,
    threads=torch.get_num_threads,
    empty_like=torch.empty_like,
    forward_ad=forward_ad,
    planners=[_plan_conv2d, *map(_pool_planner, (max_pool2d_args, avg_pool2d_args, adaptive_args))],
    applies=[
        direct_apply(PlainConv2d),
        direct_apply(PlainMaxPool2d),
        direct_apply(PlainAvgPool2d),
        direct_apply(PlainAvgPool2d),
    ],
)
conv2d = _C.eager_conv2d if available else _not_plain
max_pool2d = _C.eager_max_pool2d if available else _not_plain
avg_pool2d = _C.eager_avg_pool2d if available else _not_plain
adaptive_avg_pool2d = _C.eager_adaptive_avg_pool2d if available else _not_plain
