"""The short way of plain eager calls: one call of fastconv._C from tensors to result. Layer: above
autograd, below functional.

Plain: dense CPU tensors of a type that has kernels, and nobody who would want to see operators.
Each function here takes the arguments of its namesake in functional.py by position and returns None
for a call that is not plain; the general way then decides. csrc/bindings/eager.cpp does the work,
with a plan for each kind of call, made here once.

What eager.cpp asks of torch is answered by one of two hosts. fastconv._torch (csrc/torch/host.cpp)
is a second, optional library, built where torch is importable and used by that version of torch;
without it, fastconv._C does the same through DLPack and the Functions of this module.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fastconv.core import cpu, ops
from fastconv.core.autograd import Conv2d, conv2d_gradients
from fastconv.core.autograd_base import direct_apply
from fastconv.core.autograd_pool import (
    AvgPool2d,
    MaxPool2d,
    average_gradient,
    max_pool2d_gradient,
)
from fastconv.core.extension import _C, torch_library
from fastconv.core.tensors import (
    WATCHERS,
    conv2d_output_size,
    is_channels_last,
    is_dense,
    is_output_channels_last,
    new_tensor,
)


class _Plain(torch.autograd.Function):
    """A Function whose forward(ctx, *inputs) is compiled."""

    # torch looks these names up on every call. It finds them here without a search of the parents.
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

    forward = staticmethod(_C.function_avg_pool2d)
    backward = staticmethod(AvgPool2d.backward)


def _prototype(t: Tensor) -> Tensor:
    """`t` without its memory: what torch.empty_like needs to make tensors like it."""
    t.untyped_storage().resize_(0)
    return t


def _conv2d_planner(arguments: Callable) -> Callable:
    """`arguments`: the function that checks the arguments of a convolution."""

    def plan(x: Tensor, w: Tensor, bias: Tensor | None, *given: object) -> tuple | None:
        args = arguments(x.shape, w.shape, None if bias is None else bias.shape, *given)
        x_last, w_last = is_channels_last(x), is_channels_last(w)
        if args is None or not (is_dense(x, x_last) and is_dense(w, w_last)):
            return None
        if bias is not None and not bias.is_contiguous():
            return None
        y_size = conv2d_output_size(x.shape, w.shape, args)
        y_last = is_output_channels_last(x, w, y_size, args[3])
        shape = cpu.conv2d_shape(x.shape, w.shape, args, x_last, w_last, y_last)
        y = new_tensor(x, y_size, y_last)
        call = (args, x.shape, w.shape, x_last, w_last)
        extras = _prototype(y), None, call
        return shape, cpu.KERNEL_DTYPES[x.dtype], False, extras

    return plan


def _ceil_mode(args: tuple) -> bool:
    """ceil_mode among the arguments of max or average pooling. Adaptive windows have none."""
    return args[4] if len(args) == 5 else args[3] if len(args) == 6 else False


def _pool_planner(arguments: Callable, with_codes: bool = False) -> Callable:
    """`arguments`: the function that checks the arguments of a pool."""

    def plan(x: Tensor, *given: object) -> tuple | None:
        args, last = arguments(x.shape, *given), is_channels_last(x)
        if args is None or not is_dense(x, last):
            return None
        shape = cpu.pool2d_shape(x.shape, args, last)
        y = cpu.new_pooled(x, shape, last)
        codes = indices = None
        if with_codes:
            codes = _prototype(cpu.new_pooled(x, shape, last, cpu.code_dtype(args)))
            indices = _prototype(cpu.new_pooled(x, shape, last, torch.int64))
        extras = _prototype(y), codes, (args, x.shape, last), indices
        return shape, cpu.KERNEL_DTYPES[x.dtype], _ceil_mode(args), extras

    return plan


class _Kernel(NamedTuple):
    """What plain calls of a kernel need of Python.

    planner: (function that checks arguments) -> function: (*tensors, *arguments) -> plan, or None
        for a call that is not for the kernels.
    backward: (call, needed, grad_y, *saved) -> gradients of the tensors, where the host of
        fastconv._torch cannot go straight to the kernels.
    function: the Function of the host of fastconv._C.
    """

    planner: Callable
    backward: Callable
    function: type


_KERNELS = {
    "conv2d": _Kernel(_conv2d_planner, conv2d_gradients, PlainConv2d),
    "max_pool2d": _Kernel(
        partial(_pool_planner, with_codes=True),
        lambda call, _, *tensors: (max_pool2d_gradient(call, *tensors),),
        PlainMaxPool2d,
    ),
    "avg_pool2d": _Kernel(
        _pool_planner, lambda call, _, grad_y: (average_gradient(call, grad_y),), PlainAvgPool2d
    ),
}
# The operators with plain calls; fastconv._C and the hosts know each by its place in this list.
_ROWS = [operator for operator in ops.operators.values() if operator.arguments]
_TABLE = [_KERNELS[row.kernel] for row in _ROWS]
_PLANNERS = [k.planner(row.arguments) for row, k in zip(_ROWS, _TABLE, strict=True)]


def _node_name(name: str) -> str:
    """Of the node that computes the gradient: conv2d -> FastconvConv2dBackward."""
    return f"Fastconv{''.join(word.capitalize() for word in name.split('_'))}Backward"


def _torch_host() -> object | None:
    """The host of fastconv._torch; None if that was not built for this torch."""
    if torch_library is None:
        return None
    backwards = tuple(kernel.backward for kernel in _TABLE)
    return torch_library.host(
        _C.eager_kernels, backwards, tuple(_node_name(row.name) for row in _ROWS)
    )


def _python_host() -> object | None:
    """The host of fastconv._C; None if torch has no DLPack exchange API, as before 2.10."""
    api = getattr(Tensor, "__dlpack_c_exchange_api__", None)
    return api and _C.python_host(
        exchange_api=api,
        types=[Tensor, torch.nn.Parameter],
        watchers=[*WATCHERS, torch._C._is_any_autocast_enabled],
        grad_enabled=torch.is_grad_enabled,
        threads=torch.get_num_threads,
        empty_like=torch.empty_like,
        forward_ad=forward_ad,
        applies=[direct_apply(kernel.function) for kernel in _TABLE],
    )


# Name -> host, the one to prefer first.
hosts = {name: host for name, host in (("_torch", _torch_host()), ("_C", _python_host())) if host}


def use(name: str | None) -> None:
    """Lets one of `hosts` answer for torch; with None every call goes the general way."""
    _C.eager_use(hosts.get(name), _PLANNERS)


use(next(iter(hosts), None))


def describe() -> str:
    """How plain calls reach the kernels, in a few words."""
    if "_torch" in hosts:
        return "through fastconv._torch"
    way = "through DLPack" if hosts else "as operators"
    return f"{way} (dearer: fastconv._torch was not built for torch {torch.__version__})"


# eager.<operator>(*tensors, *arguments) -> result, or None
globals().update({row.name: _C.eager_call(row.kernel, i) for i, row in enumerate(_ROWS)})
# As max_pool2d -> (result, int64 indices), or None
max_pool2d_with_indices = _C.eager_call(
    "max_pool2d_with_indices", [row.name for row in _ROWS].index("max_pool2d")
)
