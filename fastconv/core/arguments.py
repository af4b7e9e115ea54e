"""Whether the kernels take a call: its tensors, and its arguments in one form. Layer:
operators, below ops.py.

Each function returns None for what the kernels do not take; torch then decides (fallbacks.py).
"""

import numbers
from math import prod

import torch
from torch import Tensor

from fastconv.core.cpu import KERNEL_DTYPES
from fastconv.core.decompositions import exporting
from fastconv.core.tensors import (
    DEVICE_REFUSALS,
    conv2d_output_size,
    pooled_size,
    size_of,
)

_MAX_EXTENT, _MAX_PRODUCT = 2**31, 2**62  # of the kernels; what is beyond goes to torch
_MAX_INT = 2**63 - 1  # of torch
DTYPES = frozenset(KERNEL_DTYPES)


def refusal(*tensors: object) -> str | None:
    """Why the kernels do not take these tensors; None if they do."""
    for t in tensors:
        if not isinstance(t, Tensor):
            return "arguments"
        if t.layout is not torch.strided or t.is_nested:
            return "layout"
        if t.dtype not in DTYPES or t.dtype is not tensors[0].dtype:
            return "dtype"
        if t.device != tensors[0].device:
            return "device"
    if exporting():
        return "export"
    by_device = DEVICE_REFUSALS.get(tensors[0].device.type)
    return by_device(*tensors) if by_device else "device"


def _is_int(value: object) -> bool:
    return isinstance(value, (int, torch.SymInt)) and not isinstance(value, bool)


def _too_large(x_size: tuple, *numbers: int) -> bool:
    """Whether an extent is beyond the kernels' limit; sizes that may be symbols are not asked."""
    known = numbers if torch.compiler.is_compiling() else (*numbers, *x_size)
    return any(value >= _MAX_EXTENT for value in known)


def below(low: int, *values: int) -> bool:
    """Whether one of the values, which may be symbols, is less than `low`. The compiler of torch
    2.4 knows no min of symbols."""
    return any(value < low for value in values)


def pair(value: object) -> tuple | None:
    """(v, v) or (v, w) of what torch takes as int[2]; None of anything else."""
    if type(value) is int:
        return value, value
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            value = (value[0], value[0])
        if len(value) == 2 and _is_int(value[0]) and _is_int(value[1]):
            return tuple(value)
        return None
    if isinstance(value, (numbers.Integral, torch.SymInt)) and not isinstance(value, bool):
        return value, value
    return None


def _sides(padding: object, w_size: tuple, stride: tuple, dilation: tuple) -> tuple | None:
    """Padding as (top, bottom, left, right); None if it is not padding."""
    if isinstance(padding, str):
        if padding == "valid":
            return 0, 0, 0, 0
        if padding != "same" or stride != (1, 1):
            return None
        sides = []
        for d, k in zip(dilation, w_size[2:], strict=True):
            total = d * (k - 1)  # an odd one goes to the bottom or right
            sides += [total // 2, total - total // 2]
        return tuple(sides)
    both = pair(padding)
    return None if both is None else (both[0], both[0], both[1], both[1])


def conv2d_args(x_size, w_size, bias_size, stride, padding, dilation, groups) -> tuple | None:
    """(stride, four paddings, dilation, groups) if the kernels take this; None otherwise."""
    stride, dilation = pair(stride), pair(dilation)
    if len(w_size) != 4 or len(x_size) != 4 or stride is None or dilation is None:
        return None
    sides = _sides(padding, w_size, stride, dilation)
    if sides is None or not _is_int(groups):
        return None
    args = (stride, sides, dilation, groups)
    if _too_large(x_size, *stride, *sides, *dilation, groups):
        return None
    if (
        below(1, *stride, *dilation, groups)
        or below(0, *sides)
        or below(1, *w_size)
        or below(1, *x_size[1:])
    ):
        return None
    if w_size[1] * groups != x_size[1] or w_size[0] % groups != 0:
        return None
    if bias_size is not None and (len(bias_size) != 1 or bias_size[0] != w_size[0]):
        return None
    y_size = conv2d_output_size(x_size, w_size, args)
    if below(1, *y_size[2:]):
        return None
    if not torch.compiler.is_compiling() and prod(y_size) * prod(w_size[1:]) >= _MAX_PRODUCT:
        return None
    return args


def _windows_fit(x_size, kernel, stride, padding, dilation, ceil_mode) -> bool:
    """Whether pooling is defined: positive extents, padding of at most half a kernel, an output."""
    if below(1, *kernel, *stride, *dilation, *x_size[1:]) or below(0, *padding):
        return False
    if _too_large(x_size, *stride, kernel[0] * kernel[1]):
        return False
    if not torch.compiler.is_compiling():
        for x, p, d, k in zip(x_size[2:], padding, dilation, kernel, strict=True):
            if x + 2 * p + d * k >= _MAX_EXTENT or k > 2 * x + 16:  # nearly all padding
                return False
    if 2 * padding[0] > kernel[0] or 2 * padding[1] > kernel[1]:
        return False
    y_size = pooled_size(x_size, kernel, stride, padding, dilation, ceil_mode)
    return not below(1, *y_size[2:])


def batched_size(input: Tensor) -> tuple:
    return (1, *size_of(input)) if input.dim() == 3 else size_of(input)


def is_given(stride: object) -> bool:
    """Of a pool; torch takes the extents of the window for None or an empty list."""
    return stride is not None and not (isinstance(stride, (tuple, list)) and len(stride) == 0)


def max_pool2d_args(x_size, kernel_size, stride, padding, dilation, ceil_mode) -> tuple | None:
    kernel = pair(kernel_size)
    stride = pair(stride) if is_given(stride) else kernel
    padding, dilation = pair(padding), pair(dilation)
    if (
        len(x_size) != 4
        or None in (kernel, stride, padding, dilation)
        or type(ceil_mode) is not bool
    ):
        return None
    args = (kernel, stride, padding, dilation, ceil_mode)
    return args if _windows_fit(x_size, *args) else None


def avg_pool2d_args(
    x_size, kernel_size, stride, padding, ceil_mode, include, divisor
) -> tuple | None:
    args = max_pool2d_args(x_size, kernel_size, stride, padding, 1, ceil_mode)
    if args is None or type(include) is not bool:
        return None
    if divisor is not None and not (_is_int(divisor) and 0 < abs(divisor) <= _MAX_INT):
        return None
    kernel, stride, padding, _, ceil_mode = args
    return kernel, stride, padding, ceil_mode, include, divisor


def adaptive_args(x_size: tuple, output_size: object) -> tuple | None:
    if len(x_size) != 4 or below(1, *x_size[1:]):
        return None
    if isinstance(output_size, (tuple, list)):
        if len(output_size) != 2:
            return None
        if any(out is None for out in output_size) and torch.jit.is_tracing():
            return None  # a traced graph holds extents of its inputs in torch's operators alone
        given = zip(output_size, x_size[2:], strict=True)
        output_size = tuple(extent if out is None else out for out, extent in given)
    elif not isinstance(output_size, (int, torch.SymInt)):
        return None
    size = pair(output_size)
    if size is None or below(1, *size) or _too_large(x_size, *size):
        return None
    if not torch.compiler.is_compiling() and prod((*x_size[:2], *size)) >= _MAX_PRODUCT:
        return None
    return (size,)


def _as_many(value: object, dims: int) -> tuple | None:
    """`dims` numbers of what torch takes as int[dims]; None of anything else."""
    if not isinstance(value, (tuple, list)):
        value = (value,) * dims
    return tuple(value) if len(value) == dims and all(map(_is_int, value)) else None


def unpool_output_size(x_size, kernel_size, stride, padding, output_size, dims) -> tuple | None:
    """The extents that max_unpool gives; None for what torch does not take."""
    kernel, padding = _as_many(kernel_size, dims), _as_many(padding, dims)
    stride = kernel if stride is None else _as_many(stride, dims)
    if None in (kernel, stride, padding) or len(x_size) < dims or below(1, *stride):
        return None
    windows = zip(x_size[-dims:], kernel, stride, padding, strict=True)
    formula = tuple((x - 1) * s + k - 2 * p for x, k, s, p in windows)
    if output_size is None:
        return formula
    if not isinstance(output_size, (tuple, list)):
        return None
    size = tuple(output_size[2:] if len(output_size) == dims + 2 else output_size)
    if len(size) != dims or not all(map(_is_int, size)):
        return None
    near = all(f - s < o < f + s for o, f, s in zip(size, formula, stride, strict=True))
    return size if near else None


def unpool_size_taken(x_size: tuple, size: object, dims: int) -> bool:
    """Whether the kernels fill planes of that size."""
    if not isinstance(size, (tuple, list)) or len(size) != dims or not all(map(_is_int, size)):
        return False
    if below(1, *size) or below(1, *x_size[-dims - 1 :]) or _too_large(x_size, *size):
        return False
    return torch.compiler.is_compiling() or prod((*x_size[:-dims], *size)) < _MAX_PRODUCT
