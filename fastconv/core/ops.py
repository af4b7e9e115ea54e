"""The operators, in one table: tensors in, tensors out, no autograd. Layer: operators, over cpu.py,
fakes.py, decompositions.py and arguments.py.

Each operator exists twice: as `torch.ops.fastconv.*`, seen by compilers, tracers and dispatch
modes, and as the plain call that it makes. The functions of this module take the plain call unless
something could be watching (`unwatched`). A row here is all that an operator needs, if its kernel
is there (operators.py). A new kernel needs its gradient, too (derivatives.py).
"""

from fastconv.core import arguments, cpu, decompositions, fakes
from fastconv.core.cpu import (  # noqa: F401  (what callers of the operators need beside them)
    KERNEL_DTYPES,
    caches_filters,
    conv2d_shape,
    pool2d_shape,
    unpool_shape,
)
from fastconv.core.operators import (  # noqa: F401
    Operator,
    operator,
    operators,
    register_device,
    run,
)

_CONV = "SymInt[2] stride, SymInt[4] padding, SymInt[2] dilation, SymInt groups"
_MAX = "SymInt[2] kernel, SymInt[2] stride, SymInt[2] padding, SymInt[2] dilation, bool ceil_mode"
_AVG = (
    "SymInt[2] kernel, SymInt[2] stride, SymInt[2] padding, bool ceil_mode, "
    "bool count_include_pad, int? divisor"
)
_ADAPTIVE = "SymInt[2] output_size"

# ---- convolution ---------------------------------------------------------------------------------

# `cache_filters`, for inference: transformed filters are kept until w changes.
conv2d = operator(
    f"conv2d(Tensor x, Tensor w, Tensor? bias, {_CONV}, bool cache_filters=False) -> Tensor",
    cpu.conv2d,
    fakes.conv2d,
    decompositions.conv2d,
    fakes.conv2d_multiply_adds,
    aten=("convolution",),
    arguments=arguments.conv2d_args,
)
# The end of a layer in one pass: clamp(conv2d(x, w, bias) + addend, lowest, highest), summed and
# added in the type of sums and rounded once. inductor.py makes it of conv2d, add and relu.
conv2d_fused = operator(
    "conv2d_fused(Tensor x, Tensor w, Tensor? bias, Tensor? addend, float? lowest, float? highest, "
    f"{_CONV}, bool cache_filters=False) -> Tensor",
    cpu.conv2d_fused,
    fakes.conv2d_fused,
    decompositions.conv2d_fused,
    fakes.conv2d_multiply_adds,
)
conv2d_backward_input = operator(
    "conv2d_backward_input"
    f"(Tensor grad_y, Tensor w, SymInt[] x_size, {_CONV}, bool x_channels_last) -> Tensor",
    cpu.conv2d_backward_input,
    fakes.conv2d_backward_input,
    decompositions.conv2d_backward_input,
    fakes.conv2d_backward_input_multiply_adds,
)
conv2d_backward_weight = operator(
    f"conv2d_backward_weight(Tensor grad_y, Tensor x, SymInt[] w_size, {_CONV}, "
    "bool w_channels_last, bool with_bias) -> (Tensor, Tensor)",
    cpu.conv2d_backward_weight,
    fakes.conv2d_backward_weight,
    multiply_adds=fakes.conv2d_backward_weight_multiply_adds,
)

# ---- max pooling ---------------------------------------------------------------------------------

max_pool2d = operator(
    f"max_pool2d(Tensor x, {_MAX}, bool with_codes) -> (Tensor, Tensor)",
    cpu.max_pool2d,
    fakes.max_pool2d,
    decompositions.max_pool2d,
    aten=("max_pool2d_with_indices", "max_pool2d"),
    arguments=arguments.max_pool2d_args,
)
max_pool2d_indices = operator(
    f"max_pool2d_indices(Tensor codes, Tensor x, {_MAX}) -> Tensor",
    cpu.max_pool2d_indices,
    fakes.max_pool2d_indices,
)
max_pool2d_backward = operator(
    "max_pool2d_backward"
    f"(Tensor grad_y, Tensor codes, SymInt[] x_size, {_MAX}, bool channels_last) -> Tensor",
    cpu.max_pool2d_backward,
    fakes.pool2d_backward,
)
adaptive_max_pool2d = operator(
    f"adaptive_max_pool2d(Tensor x, {_ADAPTIVE}, bool with_codes) -> (Tensor, Tensor)",
    cpu.max_pool2d,
    fakes.max_pool2d,
    decompositions.adaptive_max_pool2d,
    aten=("adaptive_max_pool2d",),
)
adaptive_max_pool2d_indices = operator(
    f"adaptive_max_pool2d_indices(Tensor codes, Tensor x, {_ADAPTIVE}) -> Tensor",
    cpu.max_pool2d_indices,
    fakes.max_pool2d_indices,
)
adaptive_max_pool2d_backward = operator(
    "adaptive_max_pool2d_backward"
    f"(Tensor grad_y, Tensor codes, SymInt[] x_size, {_ADAPTIVE}, bool channels_last) -> Tensor",
    cpu.max_pool2d_backward,
    fakes.pool2d_backward,
)

# ---- average pooling -----------------------------------------------------------------------------

avg_pool2d = operator(
    f"avg_pool2d(Tensor x, {_AVG}) -> Tensor",
    cpu.avg_pool2d,
    fakes.avg_pool2d,
    decompositions.avg_pool2d,
    aten=("avg_pool2d",),
    arguments=arguments.avg_pool2d_args,
)
avg_pool2d_backward = operator(
    f"avg_pool2d_backward(Tensor grad_y, SymInt[] x_size, {_AVG}, bool channels_last) -> Tensor",
    cpu.avg_pool2d_backward,
    fakes.pool2d_backward,
)
adaptive_avg_pool2d = operator(
    f"adaptive_avg_pool2d(Tensor x, {_ADAPTIVE}) -> Tensor",
    cpu.avg_pool2d,
    fakes.avg_pool2d,
    decompositions.adaptive_avg_pool2d,
    aten=("_adaptive_avg_pool2d",),
    arguments=arguments.adaptive_args,
)
adaptive_avg_pool2d_backward = operator(
    "adaptive_avg_pool2d_backward"
    f"(Tensor grad_y, SymInt[] x_size, {_ADAPTIVE}, bool channels_last) -> Tensor",
    cpu.avg_pool2d_backward,
    fakes.pool2d_backward,
)

# ---- max unpooling -------------------------------------------------------------------------------

# Of images or volumes: as many extents as `output_size` has.
max_unpool = operator(
    "max_unpool(Tensor x, Tensor indices, SymInt[] output_size) -> Tensor",
    cpu.max_unpool,
    fakes.max_unpool,
    decompositions.max_unpool,
    aten=("max_unpool2d", "max_unpool3d"),
)
max_unpool_backward = operator(
    "max_unpool_backward(Tensor grad_y, Tensor indices, bool channels_last) -> Tensor",
    cpu.max_unpool_backward,
    fakes.max_unpool_backward,
)
