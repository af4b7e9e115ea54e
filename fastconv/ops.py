"""The operators: tensors in, tensors out, no autograd. Layer: operators, over the kernels of fastconv._C.

Each operator exists twice: as `torch.ops.fastconv.*`, seen by compilers, tracers and dispatch modes, and as the plain
call that it makes. The functions of this module take the plain call unless something could be watching (`unwatched`).
Padding of convolutions is (top, bottom, left, right). Where tensors must share a memory format, `channels_last` says so.
"""

from collections.abc import Callable
from functools import lru_cache, wraps

import torch
from torch import Tensor
from torch._prims_common import suggest_memory_format

from fastconv.extension import _C

KERNEL_DTYPES = {torch.float32: _C.FLOAT32, torch.float64: _C.FLOAT64}
# Widened to float32, run by its kernels (so sums are float32) and rounded once.
WIDENED_DTYPES = frozenset({torch.float16, torch.bfloat16})

_PLAIN_TYPES = frozenset({Tensor, torch.nn.Parameter})
_FORMATS = {False: torch.contiguous_format, True: torch.channels_last}

is_compiling = torch.compiler.is_compiling
_dispatch_modes = torch._C._len_torch_dispatch_stack
_function_modes = torch._C._len_torch_function_stack
_functorch = torch._C._functorch.peek_interpreter_stack
_profiling = torch._C._autograd._profiler_enabled
_tracing = torch._C._get_tracing_state


def unwatched(*tensors: Tensor | None) -> bool:
    """Whether these tensors may go straight to the kernels: nobody needs to see the operator."""
    if (
        is_compiling()
        or _dispatch_modes()
        or _function_modes()
        or _functorch() is not None
        or _profiling()
        or _tracing() is not None
    ):
        return False
    try:
        for t in tensors:
            if t is not None and (type(t) not in _PLAIN_TYPES or t.is_neg()):
                return False
            if t is not None:
                t.data_ptr()  # raises where there is no storage, as in tensors of the older vmap
    except RuntimeError:
        return False
    return True


@lru_cache(maxsize=4096)
def _channels_last_strides(size: tuple, strides: tuple) -> bool:
    """torch's rule: strides grow in the order C, W, H, N, and say more than that one of them has extent 1."""
    least = 0
    for d in (1, 3, 2, 0):
        if size[d] == 0 or strides[d] < least or (d == 0 and least == strides[1]):
            return False
        least = strides[d] * max(size[d], 1)
    return True


def is_channels_last(t: Tensor) -> bool:
    """Whether torch takes a 4-D tensor for channels_last (Tensor.suggest_memory_format)."""
    if is_compiling():
        return suggest_memory_format(t) is torch.channels_last
    return _channels_last_strides(t.shape, t.stride())


def _dense(t: Tensor, channels_last: bool) -> Tensor:
    return t.contiguous(memory_format=_FORMATS[channels_last])


def _new(
    like: Tensor, size: tuple, channels_last: bool, dtype: torch.dtype | None = None
) -> Tensor:
    return torch.empty(
        size, dtype=dtype or like.dtype, device=like.device, memory_format=_FORMATS[channels_last]
    )


def conv2d_output_size(x_size, w_size, args) -> tuple:
    """(N, OC, OH, OW), for extents that may be symbols; args = (stride, padding, dilation, groups)."""
    stride, padding, dilation, _ = args
    height = x_size[2] + padding[0] + padding[1] - dilation[0] * (w_size[2] - 1) - 1
    width = x_size[3] + padding[2] + padding[3] - dilation[1] * (w_size[3] - 1) - 1
    return x_size[0], w_size[0], height // stride[0] + 1, width // stride[1] + 1


def pooled_size(x_size, kernel, stride, padding, dilation, ceil_mode) -> tuple:
    """(N, C, OH, OW), for extents that may be symbols."""

    def extent(i: int):
        size, k, s, p, d = x_size[2 + i], kernel[i], stride[i], padding[i], dilation[i]
        span = size + 2 * p - d * (k - 1) - 1
        if not ceil_mode:
            return span // s + 1
        out = -(-span // s) + 1
        return out - 1 if (out - 1) * s >= size + p else out

    return (x_size[0], x_size[1], extent(0), extent(1))


def _kernel_dtype(first: Tensor, *others: Tensor | None) -> int:
    """The number of the element type that all share."""
    for t in others:
        if t is not None and t.dtype is not first.dtype:
            raise RuntimeError(f"fastconv: tensors of {first.dtype} and {t.dtype} do not mix")
    try:
        return KERNEL_DTYPES[first.dtype]
    except KeyError:
        raise NotImplementedError(f"fastconv: no kernel for {first.dtype}") from None


@lru_cache(maxsize=4096)
def conv2d_shape(
    x_size, w_size, stride, padding, dilation, groups, *channels_last
) -> "_C.Conv2dShape":
    return _C.Conv2dShape(x_size, w_size, stride, padding, dilation, groups, *channels_last)


@lru_cache(maxsize=4096)
def pool2d_shape(x_size, spec, channels_last) -> "_C.Pool2dShape":
    """`spec`: arguments of max_pool2d or avg_pool2d behind the input, or (output_size,) of adaptive_avg_pool2d."""
    if len(spec) == 1:
        return _C.Pool2dShape.adaptive(x_size, spec[0], channels_last)
    if len(spec) == 5:
        kernel, stride, padding, dilation, ceil_mode = spec
        return _C.Pool2dShape(
            x_size, kernel, stride, padding, dilation, ceil_mode, True, 0, channels_last
        )
    kernel, stride, padding, ceil_mode, count_include_pad, divisor = spec
    return _C.Pool2dShape(
        x_size,
        kernel,
        stride,
        padding,
        (1, 1),
        ceil_mode,
        count_include_pad,
        divisor or 0,
        channels_last,
    )


_CONV = "SymInt[2] stride, SymInt[4] padding, SymInt[2] dilation, SymInt groups"
_MAX = "SymInt[2] kernel, SymInt[2] stride, SymInt[2] padding, SymInt[2] dilation, bool ceil_mode"
_AVG = (
    "SymInt[2] kernel, SymInt[2] stride, SymInt[2] padding, bool ceil_mode, "
    "bool count_include_pad, int? divisor"
)
_library = torch.library.Library("fastconv", "DEF")


def _hashable(argument):
    return tuple(argument) if isinstance(argument, list) else argument


def _operator(schema: str) -> Callable[[Callable], Callable]:
    """Defines torch.ops.fastconv.<name> with the decorated plain call as its CPU kernel.

    The name then stands for a function that takes the plain call if unwatched, else the operator.
    """

    def define(plain: Callable) -> Callable:
        name = plain.__name__
        _library.define(
            name + schema, tags=(torch.Tag.pt2_compliant_tag, torch.Tag.needs_fixed_stride_order)
        )
        _library.impl(name, lambda *args: plain(*map(_hashable, args)), "CPU")
        operator = getattr(torch.ops.fastconv, name).default
        tensors = schema.split(")")[0].count("Tensor")  # they lead the arguments

        @wraps(plain)
        def call(*args):
            return (plain if unwatched(*args[:tensors]) else operator)(*args)

        return call

    return define


@_operator(f"(Tensor x, Tensor w, Tensor? bias, {_CONV}) -> Tensor")
def conv2d(x, w, bias, stride, padding, dilation, groups):
    if x.dtype in WIDENED_DTYPES:
        wide = (x.float(), w.float(), None if bias is None else bias.float())
        return conv2d(*wide, stride, padding, dilation, groups).to(x.dtype)
    x_last, w_last = is_channels_last(x), is_channels_last(w)
    x, w = _dense(x, x_last), _dense(w, w_last)
    if bias is not None:
        bias = bias.contiguous()
    y_last = x_last or w_last
    shape = conv2d_shape(
        x.shape, w.shape, stride, padding, dilation, groups, x_last, w_last, y_last
    )
    y = _new(x, (shape.N, shape.OC, shape.OH, shape.OW), y_last)
    _C.conv2d_forward(
        _kernel_dtype(x, w, bias), shape, x.data_ptr(), x.numel(), w.data_ptr(), w.numel(),
        0 if bias is None else bias.data_ptr(), 0 if bias is None else bias.numel(),
        y.data_ptr(), y.numel(), torch.get_num_threads(),
    )  # fmt: skip
    return y


@_operator(f"(Tensor grad_y, Tensor w, SymInt[] x_size, {_CONV}, bool x_channels_last) -> Tensor")
def conv2d_backward_input(grad_y, w, x_size, stride, padding, dilation, groups, x_channels_last):
    if grad_y.dtype in WIDENED_DTYPES:
        wide = conv2d_backward_input(
            grad_y.float(), w.float(), x_size, stride, padding, dilation, groups, x_channels_last
        )
        return wide.to(grad_y.dtype)
    y_last, w_last = is_channels_last(grad_y), is_channels_last(w)
    grad_y, w = _dense(grad_y, y_last), _dense(w, w_last)
    shape = conv2d_shape(
        x_size, w.shape, stride, padding, dilation, groups, x_channels_last, w_last, y_last
    )
    grad_x = _new(grad_y, x_size, x_channels_last)
    _C.conv2d_backward_input(
        _kernel_dtype(grad_y, w), shape, grad_y.data_ptr(), grad_y.numel(), w.data_ptr(), w.numel(),
        grad_x.data_ptr(), grad_x.numel(), torch.get_num_threads(),
    )  # fmt: skip
    return grad_x


@_operator(
    f"(Tensor grad_y, Tensor x, SymInt[] w_size, {_CONV}, bool w_channels_last, bool with_bias)"
    " -> (Tensor, Tensor)"
)
def conv2d_backward_weight(
    grad_y, x, w_size, stride, padding, dilation, groups, w_channels_last, with_bias
):
    if x.dtype in WIDENED_DTYPES:
        wide = conv2d_backward_weight(
            grad_y.float(), x.float(), w_size, stride, padding, dilation, groups,
            w_channels_last, with_bias,
        )  # fmt: skip
        return tuple(g.to(x.dtype) for g in wide)
    y_last, x_last = is_channels_last(grad_y), is_channels_last(x)
    grad_y, x = _dense(grad_y, y_last), _dense(x, x_last)
    shape = conv2d_shape(
        x.shape, w_size, stride, padding, dilation, groups, x_last, w_channels_last, y_last
    )
    grad_w = _new(x, w_size, w_channels_last)
    grad_bias = x.new_empty(w_size[0] if with_bias else 0)
    _C.conv2d_backward_weight(
        _kernel_dtype(grad_y, x), shape, grad_y.data_ptr(), grad_y.numel(), x.data_ptr(), x.numel(),
        grad_w.data_ptr(), grad_w.numel(),
        grad_bias.data_ptr() if with_bias else 0, grad_bias.numel(), torch.get_num_threads(),
    )  # fmt: skip
    return grad_w, grad_bias


@_operator(f"(Tensor x, {_MAX}, bool with_indices) -> (Tensor, Tensor)")
def max_pool2d(x, kernel, stride, padding, dilation, ceil_mode, with_indices):
    spec = (kernel, stride, padding, dilation, ceil_mode)
    if x.dtype in WIDENED_DTYPES:
        y, indices = max_pool2d(x.float(), *spec, with_indices)
        return y.to(x.dtype), indices
    last = is_channels_last(x)
    x = _dense(x, last)
    shape = pool2d_shape(x.shape, spec, last)
    size = (shape.N, shape.C, shape.OH, shape.OW)
    y = _new(x, size, last)
    if with_indices:
        indices = _new(x, size, last, torch.int64)
    else:
        indices = x.new_empty(0, dtype=torch.int64)
    _C.max_pool2d_forward(
        _kernel_dtype(x), shape, x.data_ptr(), x.numel(), y.data_ptr(), y.numel(),
        indices.data_ptr() if with_indices else 0, indices.numel(), torch.get_num_threads(),
    )  # fmt: skip
    return y, indices


@_operator(
    f"(Tensor grad_y, Tensor indices, SymInt[] x_size, {_MAX}, bool channels_last) -> Tensor"
)
def max_pool2d_backward(
    grad_y, indices, x_size, kernel, stride, padding, dilation, ceil_mode, channels_last
):
    spec = (kernel, stride, padding, dilation, ceil_mode)
    if grad_y.dtype in WIDENED_DTYPES:
        wide = max_pool2d_backward(grad_y.float(), indices, x_size, *spec, channels_last)
        return wide.to(grad_y.dtype)
    if indices.dtype is not torch.int64:
        raise RuntimeError(f"fastconv: indices must be torch.int64, not {indices.dtype}")
    grad_y, indices = _dense(grad_y, channels_last), _dense(indices, channels_last)
    grad_x = _new(grad_y, x_size, channels_last)
    _C.max_pool2d_backward(
        _kernel_dtype(grad_y), pool2d_shape(x_size, spec, channels_last),
        grad_y.data_ptr(), grad_y.numel(), indices.data_ptr(), indices.numel(),
        grad_x.data_ptr(), grad_x.numel(), torch.get_num_threads(),
    )  # fmt: skip
    return grad_x


def _average(x, spec):
    if x.dtype in WIDENED_DTYPES:
        return _average(x.float(), spec).to(x.dtype)
    last = is_channels_last(x)
    x = _dense(x, last)
    shape = pool2d_shape(x.shape, spec, last)
    y = _new(x, (shape.N, shape.C, shape.OH, shape.OW), last)
    _C.avg_pool2d_forward(
        _kernel_dtype(x), shape, x.data_ptr(), x.numel(), y.data_ptr(), y.numel(),
        torch.get_num_threads(),
    )  # fmt: skip
    return y


def _average_backward(grad_y, x_size, spec, channels_last):
    if grad_y.dtype in WIDENED_DTYPES:
        return _average_backward(grad_y.float(), x_size, spec, channels_last).to(grad_y.dtype)
    grad_y = _dense(grad_y, channels_last)
    grad_x = _new(grad_y, x_size, channels_last)
    _C.avg_pool2d_backward(
        _kernel_dtype(grad_y), pool2d_shape(x_size, spec, channels_last),
        grad_y.data_ptr(), grad_y.numel(), grad_x.data_ptr(), grad_x.numel(), torch.get_num_threads(),
    )  # fmt: skip
    return grad_x


@_operator(f"(Tensor x, {_AVG}) -> Tensor")
def avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor):
    return _average(x, (kernel, stride, padding, ceil_mode, count_include_pad, divisor))


@_operator(f"(Tensor grad_y, SymInt[] x_size, {_AVG}, bool channels_last) -> Tensor")
def avg_pool2d_backward(
    grad_y, x_size, kernel, stride, padding, ceil_mode, count_include_pad, divisor, channels_last
):
    spec = (kernel, stride, padding, ceil_mode, count_include_pad, divisor)
    return _average_backward(grad_y, x_size, spec, channels_last)


@_operator("(Tensor x, SymInt[2] output_size) -> Tensor")
def adaptive_avg_pool2d(x, output_size):
    return _average(x, (output_size,))


@_operator("(Tensor grad_y, SymInt[] x_size, SymInt[2] output_size, bool channels_last) -> Tensor")
def adaptive_avg_pool2d_backward(grad_y, x_size, output_size, channels_last):
    return _average_backward(grad_y, x_size, (output_size,), channels_last)
