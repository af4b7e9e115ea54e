"""The operators on CUDA tensors: the launchers of fastconv._C_cuda under the kernels' names, and
for which calls they are chosen. Layer: operators, over ops.py.

Kernels are queued on torch's current stream, workspace comes from torch's allocator, and nothing
waits for the device: a CUDA graph can capture every operator. float16 and bfloat16 are summed in
float32 and rounded once. Which kernels exist: docs/cuda.md.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache
from types import ModuleType

import torch
from torch import Tensor

from fastconv.core import cpu, ops
from fastconv.core.decompositions import end_of_fused
from fastconv.core.extension import load_cuda
from fastconv.core.fallbacks import to_torch
from fastconv.core.tensors import (
    DEVICE_REFUSALS,
    buffer,
    conv2d_output_size,
    dense,
    is_channels_last,
    is_output_channels_last,
    new_tensor,
)


class Operators:
    """Each method takes and returns what its namesake in cpu.py does.

    Args:
        library: the launchers.
        queue: tensor -> library.Queue: the stream, and what kernels may use of the tensor's device.
        current: tensor -> a block inside which the tensor's device is the current one.
    """

    def __init__(
        self,
        library: ModuleType,
        queue: Callable[[Tensor], object],
        current: Callable[[Tensor], AbstractContextManager],
    ) -> None:
        self._library, self._queue, self._current = library, queue, current
        self._dtypes = {getattr(torch, name): n for name, n in library.DTYPES.items()}
        self._conv2d_shape = lru_cache(maxsize=4096)(library.Conv2dShape)
        self._pool2d_shape = lru_cache(maxsize=4096)(cpu.pool2d_shape_of(library))

    def _dtype(self, *tensors: Tensor | None) -> int:
        dtype = cpu.shared_dtype(*tensors)
        if dtype not in self._dtypes:
            raise NotImplementedError(f"fastconv: no CUDA kernel for {dtype}")
        return self._dtypes[dtype]

    def conv2d(self, x, w, bias, stride, padding, dilation, groups, cache_filters=False):
        args, dtype = (stride, padding, dilation, groups), self._dtype(x, w, bias)
        y_size = conv2d_output_size(x.shape, w.shape, args)
        x_last, w_last = is_channels_last(x), is_channels_last(w)
        y_last = is_output_channels_last(x, w, y_size, groups)
        x, w = dense(x, x_last), dense(w, w_last)
        bias = None if bias is None else bias.contiguous()
        shape = self._conv2d_shape(x.shape, w.shape, *args, x_last, w_last, y_last)
        y = new_tensor(x, y_size, y_last)
        with self._current(x):
            self._library.conv2d_forward(
                dtype, shape, buffer(x), buffer(w), buffer(bias), buffer(y), self._queue(x)
            )
        return y

    def conv2d_fused(self, x, w, bias, addend, lowest, highest, *args_and_cache):
        """No CUDA kernel has an epilogue: torch's functions add and clamp on the device, and
        `fastconv.fallbacks` counts the call."""
        self._dtype(x, w, bias, addend)
        y = self.conv2d(x, w, bias, *args_and_cache)
        cpu.check_addend(addend, y.shape)
        return to_torch(end_of_fused, "device", y, addend, lowest, highest)

    def conv2d_backward_input(
        self, grad_y, w, x_size, stride, padding, dilation, groups, x_channels_last
    ):
        dtype = self._dtype(grad_y, w)
        y_last, w_last = is_channels_last(grad_y), is_channels_last(w)
        grad_y, w = dense(grad_y, y_last), dense(w, w_last)
        args = (stride, padding, dilation, groups)
        shape = self._conv2d_shape(x_size, w.shape, *args, x_channels_last, w_last, y_last)
        grad_x = new_tensor(grad_y, x_size, x_channels_last)
        with self._current(w):
            self._library.conv2d_backward_input(
                dtype, shape, buffer(grad_y), buffer(w), buffer(grad_x), self._queue(w)
            )
        return grad_x

    def conv2d_backward_weight(
        self, grad_y, x, w_size, stride, padding, dilation, groups, w_channels_last, with_bias
    ):
        dtype = self._dtype(grad_y, x)
        y_last, x_last = is_channels_last(grad_y), is_channels_last(x)
        grad_y, x = dense(grad_y, y_last), dense(x, x_last)
        args = (stride, padding, dilation, groups)
        shape = self._conv2d_shape(x.shape, w_size, *args, x_last, w_channels_last, y_last)
        grad_w = new_tensor(x, w_size, w_channels_last)
        grad_bias = x.new_empty(w_size[0] if with_bias else 0)
        with self._current(x):
            queue = self._queue(x)
            bytes_ = self._library.conv2d_weight_workspace(dtype, shape, queue)
            workspace = x.new_empty(bytes_, dtype=torch.uint8)
            self._library.conv2d_backward_weight(
                dtype, shape, buffer(grad_y), buffer(x), buffer(grad_w),
                buffer(grad_bias if with_bias else None), buffer(workspace), queue,
            )  # fmt: skip
        return grad_w, grad_bias

    def max_pool2d(self, x, *args_and_codes):
        args, with_codes = args_and_codes[:-1], args_and_codes[-1]
        dtype, channels_last = self._dtype(x), is_channels_last(x)
        x = dense(x, channels_last)
        shape = self._pool2d_shape(x.shape, args, channels_last)
        y = cpu.new_pooled(x, shape, channels_last)
        if with_codes:
            codes = cpu.new_pooled(x, shape, channels_last, cpu.code_dtype(args))
        else:
            codes = x.new_empty(0, dtype=torch.uint8)
        with self._current(x):
            given = buffer(codes if with_codes else None)
            self._library.max_pool2d_forward(
                dtype, shape, buffer(x), buffer(y), given, self._queue(x)
            )
        return y, codes

    def max_pool2d_indices(self, codes, x, *args):
        cpu.check_codes(codes, args)
        channels_last = not codes.is_contiguous()
        codes = dense(codes, channels_last)
        shape = self._pool2d_shape(x.shape, args, channels_last)
        indices = torch.empty_like(codes, dtype=torch.int64)
        with self._current(codes):
            self._library.max_pool2d_indices(
                shape, buffer(codes), buffer(indices), self._queue(codes)
            )
        return indices

    def max_pool2d_backward(self, grad_y, codes, x_size, *args_and_layout):
        args, channels_last = args_and_layout[:-1], args_and_layout[-1]
        dtype = self._dtype(grad_y)
        cpu.check_codes(codes, args)
        grad_y, codes = dense(grad_y, channels_last), dense(codes, channels_last)
        grad_x = new_tensor(grad_y, x_size, channels_last)
        shape = self._pool2d_shape(x_size, args, channels_last)
        with self._current(grad_y):
            self._library.max_pool2d_backward(
                dtype, shape, buffer(grad_y), buffer(codes), buffer(grad_x), self._queue(grad_y)
            )
        return grad_x

    def avg_pool2d(self, x, *args):
        dtype, channels_last = self._dtype(x), is_channels_last(x)
        x = dense(x, channels_last)
        shape = self._pool2d_shape(x.shape, args, channels_last)
        y = cpu.new_pooled(x, shape, channels_last)
        with self._current(x):
            self._library.avg_pool2d_forward(dtype, shape, buffer(x), buffer(y), self._queue(x))
        return y

    def avg_pool2d_backward(self, grad_y, x_size, *args_and_layout):
        args, channels_last = args_and_layout[:-1], args_and_layout[-1]
        dtype = self._dtype(grad_y)
        grad_y = dense(grad_y, channels_last)
        grad_x = new_tensor(grad_y, x_size, channels_last)
        shape = self._pool2d_shape(x_size, args, channels_last)
        with self._current(grad_y):
            self._library.avg_pool2d_backward(
                dtype, shape, buffer(grad_y), buffer(grad_x), self._queue(grad_y)
            )
        return grad_x

    def max_unpool(self, x, indices, output_size):
        """torch's kernels, counted: there are none of fastconv's."""
        cpu.check_unpooled(indices, x.shape)
        if len(output_size) == 2:
            return to_torch(torch.ops.aten.max_unpool2d, "device", x, indices, output_size)
        given = (x, indices, output_size, (1, 1, 1), (0, 0, 0))
        return to_torch(torch.ops.aten.max_unpool3d, "device", *given)

    def max_unpool_backward(self, grad_y, indices, channels_last):
        cpu.check_unpooled(indices, grad_y.shape[:2])
        flat = to_torch(torch.gather, "device", grad_y.flatten(2), 2, indices.flatten(2))
        return dense(flat.view(indices.shape), channels_last)


def may_use_tf32() -> bool:
    """Whether torch's settings let convolutions round the factors of float32 products to TF32."""
    precision = getattr(getattr(torch.backends.cudnn, "conv", None), "fp32_precision", None)
    return torch.backends.cudnn.allow_tf32 if precision is None else precision == "tf32"


@lru_cache
def _tensor_cores(device: int) -> int:
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


def register() -> bool:
    """Registers the operators for CUDA tensors; False: there are no CUDA kernels here."""
    library = load_cuda()
    if library is None:
        return False

    def queue(t: Tensor) -> object:
        stream = torch.cuda.current_stream(t.device).cuda_stream
        return library.Queue(stream, _tensor_cores(t.get_device()), may_use_tf32())

    ops.register_device("cuda", Operators(library, queue, lambda t: torch.cuda.device(t.device)))
    DEVICE_REFUSALS["cuda"] = refusal
    return True


# ---- which calls are ours ------------------------------------------------------------------------

MODES = ("auto", "fastconv", "torch")
mode = "auto"  # fastconv.flags(cuda=...)

# In "auto" fastconv's kernels run where they are expected to win; no GPU has measured it yet.
FIRST_LAYER_CHANNELS = 4  # cuDNN's tensor-core kernels pad these to 8 channels
SMALL_PIXELS = 2048  # of all images: 32 tiles of 64 pixels leave most of a GPU idle in any library
LARGE_ELEMENTS = 2**31  # cuDNN's 32-bit indices end here (pytorch#117736, pytorch#128936)


def refusal(*tensors: Tensor) -> str | None:
    """ "cuDNN" for a call that is left to torch's CUDA functions; None: fastconv's kernels take it.

    One tensor: a pool. Two or three: a convolution's input, weight and bias. In "auto" mode a dense
    convolution of many pixels is left to torch, unless it must be deterministic with gradients.
    """
    if mode != "auto":
        return None if mode == "fastconv" else "cuDNN"
    if len(tensors) == 1 or tensors[1].dim() < 3:
        return None
    x, w = tensors[:2]
    if w.dim() > 4:  # 3-D: conv2d of copied planes
        return "cuDNN"
    channels = x.shape[1 - w.dim()]
    is_depthwise = w.shape[1] == 1 and channels > 1
    if is_depthwise or channels <= FIRST_LAYER_CHANNELS:
        return None
    if x.numel() <= SMALL_PIXELS * channels or x.numel() >= LARGE_ELEMENTS:
        return None
    deterministic = (
        torch.are_deterministic_algorithms_enabled() or torch.backends.cudnn.deterministic
    )
    trains = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    return None if deterministic and trains else "cuDNN"


register()
