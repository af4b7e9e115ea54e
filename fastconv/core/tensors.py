"""What the operators ask of tensors: whether somebody watches, memory formats, sizes of results.
Layer: operators, below ops.py.

The sizes are those of csrc/core/shape.h, written again because here extents may be symbols.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch._prims_common import suggest_memory_format

from fastconv.core.extension import torch_library

_PLAIN_TYPES = frozenset({Tensor, torch.nn.Parameter})
# Devices whose kernels ops.py calls without the dispatcher. Tensors of any other device go to the
# operator, which refuses those that no kernel is registered for.
PLAIN_DEVICES = {"cpu"}
# By device: (*tensors) -> why its kernels leave a call to torch, or None. Other devices have none.
DEVICE_REFUSALS: dict[str, Callable[..., str | None]] = {"cpu": lambda *tensors: None}
_unwatched = getattr(torch_library, "unwatched", None)
_HAS_ONEDNN = torch.backends.mkldnn.is_available()
_FORMATS = {False: torch.contiguous_format, True: torch.channels_last}

is_compiling = torch.compiler.is_compiling
# What is true while a mode, transform, profiler or tracer would want to see operators.
WATCHERS = (
    torch._C._len_torch_dispatch_stack,
    torch._C._len_torch_function_stack,
    torch._C._are_functorch_transforms_active,
    torch._C._autograd._profiler_enabled,
    torch._C._get_tracing_state,
)


def is_plain(t: Tensor) -> bool:
    """Whether a tensor is its memory alone: no subclass, wrapper, pending negation or zero."""
    if type(t) not in _PLAIN_TYPES or t.device.type not in PLAIN_DEVICES:
        return False
    if t.is_neg() or t._is_zerotensor():
        return False
    try:
        return t.data_ptr() is not None  # raises where there is no storage, as in the older vmap
    except RuntimeError:
        return False


def unwatched(*tensors: Tensor | None) -> bool:
    """Whether these tensors may go straight to the kernels: nobody needs to see the operator."""
    if is_compiling():
        return False
    if _unwatched is not None and _unwatched(*tensors):  # a tenth of the time of what follows
        return True
    if any(watching() for watching in WATCHERS):
        return False
    return all(t is None or is_plain(t) for t in tensors)


def size_of(t: Tensor) -> tuple:
    """t.shape as numbers. While torch.jit.trace records a call, t.shape itself holds tensors."""
    if not torch.jit.is_tracing():
        return t.shape
    state = torch._C._get_tracing_state()
    torch._C._set_tracing_state(None)
    try:
        return t.shape
    finally:
        torch._C._set_tracing_state(state)


@lru_cache(maxsize=4096)
def _channels_last_strides(size: tuple, strides: tuple) -> bool:
    """torch's rule: strides grow in the order C, W, H, N, not only because extents are 1."""
    if strides[1] == 0:
        return False
    least = 0
    for d in (1, 3, 2, 0):
        if size[d] == 0 or strides[d] < least or (d == 0 and least == strides[1]):
            return False
        least = strides[d] * max(size[d], 1)
    return True


def is_channels_last(t: Tensor) -> bool:
    """Whether torch takes a 4-D tensor for channels_last (Tensor.suggest_memory_format)."""
    if is_compiling() or t._has_symbolic_sizes_strides:
        return suggest_memory_format(t) is torch.channels_last
    return _channels_last_strides(t.shape, t.stride())


def is_dense(t: Tensor, channels_last: bool) -> bool:
    return t.is_contiguous(memory_format=_FORMATS[channels_last])


def dense(t: Tensor, channels_last: bool) -> Tensor:
    return t.contiguous(memory_format=_FORMATS[channels_last])


def buffer(t: Tensor | None) -> tuple[int, int] | None:
    """A tensor as the kernels take it: its address and its number of elements."""
    return None if t is None else (t.data_ptr(), t.numel())


def new_tensor(
    like: Tensor, size: tuple, channels_last: bool, dtype: torch.dtype | None = None
) -> Tensor:
    return torch.empty(
        size, dtype=dtype or like.dtype, device=like.device, memory_format=_FORMATS[channels_last]
    )


def is_output_channels_last(x: Tensor, w: Tensor, y_size: tuple, groups: int) -> bool:
    """Whether torch's conv2d gives its output as channels_last: if x or w is.

    Groups of float32 go to oneDNN. Of other types torch convolves each group alone and joins the
    results. A result of one channel and one pixel has strides that say nothing, and is taken for
    contiguous; so is the output then. Its memory is the same. (Where the CPU has instructions for
    bfloat16 or float16, those go to oneDNN, too, and torch's strides differ from these.)
    """
    if not (is_channels_last(x) or is_channels_last(w)):
        return False
    if groups == 1 or groups != y_size[1] or (x.dtype is torch.float32 and _HAS_ONEDNN):
        return True
    return y_size[2] != 1 or y_size[3] != 1


def conv2d_output_size(x_size, w_size, args) -> tuple:
    """(N, OC, OH, OW) of extents that may be symbols; args: stride, padding, dilation, groups."""
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
