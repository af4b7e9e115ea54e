"""Applies the Functions where an operator may have to record a derivative. Layer: autograd, over
autograd.py and autograd_pool.py.

Eager calls apply a Function themselves (functional/), and inside it the operators record nothing
more. An operator that is met alone, in an exported or traced graph or by its name, comes through
here. Where fastconv._torch is in use, it comes here only if a derivative is recorded
(csrc/torch/recording.cpp).
"""

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

from fastconv.core import ops
from fastconv.core.autograd import Conv2d, Conv2dBackwardInput, Conv2dBackwardWeight
from fastconv.core.autograd_base import recorded
from fastconv.core.autograd_pool import (
    AvgPool2d,
    AvgPool2dBackward,
    MaxPool2d,
    MaxPool2dBackward,
)
from fastconv.core.autograd_unpool import MaxUnpool, MaxUnpoolBackward
from fastconv.core.cpu import check_addend
from fastconv.core.decompositions import end_of_fused
from fastconv.core.extension import torch_library
from fastconv.core.tensors import unwatched

_library = torch.library.Library("fastconv", "IMPL")


def _tuples(args: tuple) -> tuple:
    return tuple(tuple(a) if isinstance(a, list) else a for a in args)


# Kernel's name -> the function that its operators call where a derivative is recorded, or None if
# they have no derivative.
_functions: dict[str, Callable | None] = {"max_pool2d_indices": None}


def _differentiable(function: Callable) -> None:
    _functions[function.__name__] = function


def _register(operator: ops.Operator, function: Callable) -> None:
    """Makes `function` what an operator does where derivatives are recorded."""
    plain = operator.plains["cpu"]

    @wraps(function)
    def kernel(keys, *args):
        tensors = [a for a in args if isinstance(a, Tensor)]
        if recorded(*tensors):
            return function(*_tuples(args))
        if unwatched(*tensors) and all(t.is_cpu for t in tensors):
            return plain(*_tuples(args))  # half the time of a call through the dispatcher
        with torch._C._AutoDispatchBelowAutograd():
            return operator.overload.redispatch(keys & torch._C._after_autograd_keyset, *args)

    _library.impl(operator.name, kernel, "Autograd", with_keyset=True)


@_differentiable
def conv2d(x, w, bias, stride, padding, dilation, groups, cache_filters=False):
    return Conv2d.apply(x, w, bias, (stride, padding, dilation, groups))


@_differentiable
def conv2d_fused(x, w, bias, addend, lowest, highest, *args_and_cache):
    y = Conv2d.apply(x, w, bias, args_and_cache[:4])
    check_addend(addend, y.shape)
    return end_of_fused(y, addend, lowest, highest)


@_differentiable
def conv2d_backward_input(grad_y, w, x_size, stride, padding, dilation, groups, channels_last):
    args = (stride, padding, dilation, groups)
    return Conv2dBackwardInput.apply(grad_y, w, x_size, args, channels_last)


@_differentiable
def conv2d_backward_weight(
    grad_y, x, w_size, stride, padding, dilation, groups, channels_last, with_bias
):
    args = (stride, padding, dilation, groups)
    grad_w = Conv2dBackwardWeight.apply(grad_y, x, w_size, args, channels_last)
    return grad_w, grad_y.sum((0, 2, 3)) if with_bias else x.new_empty(0)


# The arguments of a pool are those of its windows, of whatever kind.


@_differentiable
def max_pool2d(x, *args_and_codes):
    args, with_codes = args_and_codes[:-1], args_and_codes[-1]
    y, codes = MaxPool2d.apply(x, args)
    return y, codes if with_codes else x.new_empty(0, dtype=torch.uint8)


@_differentiable
def max_pool2d_backward(grad_y, codes, *rest):
    return MaxPool2dBackward.apply(grad_y, codes, rest)


@_differentiable
def avg_pool2d(x, *args):
    return AvgPool2d.apply(x, args)


@_differentiable
def avg_pool2d_backward(grad_y, x_size, *args_and_layout):
    return AvgPool2dBackward.apply(grad_y, x_size, args_and_layout[:-1], args_and_layout[-1])


@_differentiable
def max_unpool(x, indices, output_size):
    return MaxUnpool.apply(x, indices, output_size)


@_differentiable
def max_unpool_backward(grad_y, indices, channels_last):
    return MaxUnpoolBackward.apply(grad_y, indices, channels_last)


_by_name = {name: _functions[operator.kernel] for name, operator in ops.operators.items()}
_recorded = {name: function for name, function in _by_name.items() if function}
for _name in _by_name.keys() - _recorded.keys():
    _library.impl(_name, torch.library.fallthrough_kernel, "Autograd")
if torch_library is not None:
    torch_library.register_recording(_recorded)
else:
    for _name, _function in _recorded.items():
        _register(ops.operators[_name], _function)
