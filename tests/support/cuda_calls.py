"""Convolutions and pools by CUDA launchers on the SIMT shim, in the shapes of cases.py."""

import torch
from cases import AdaptiveCase, ConvCase, PoolCase
from cuda_shim import DTYPES, Conv2dShape, Pool2dShape, Shim, Tuning
from torch import Tensor

CHOSEN, DEPTHWISE, GEMM, DIRECT = 0, 1, 2, 3  # families
GUARDED = 4  # bytes of workspace that one cell of the shim's memory stands for


def layout(channels_last: bool) -> torch.memory_format:
    return torch.channels_last if channels_last else torch.contiguous_format


def dense(size, dtype, channels_last: bool, generator=None) -> Tensor:
    """A dense tensor in exactly that layout, also where torch cannot tell the two apart."""
    n, c, h, w = size
    shape = (n, h, w, c) if channels_last else size
    t = torch.empty(shape, dtype=dtype)
    if generator is not None:
        t = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    return t.permute(0, 3, 1, 2) if channels_last else t


def conv_shape(case: ConvCase, x_last: bool, w_last: bool, y_last: bool) -> Conv2dShape:
    extents = (case.N, case.IC, case.IH, case.IW, case.OC, case.KH, case.KW)
    windows = (*case.stride, *case.padding, *case.dilation)
    return Conv2dShape(*extents, *windows, case.groups, x_last, w_last, y_last)


def pool_shape(case: PoolCase | AdaptiveCase, channels_last: bool) -> Pool2dShape:
    if isinstance(case, AdaptiveCase):
        (OH, OW), IH, IW = case.output, case.IH, case.IW
        # No window is larger: ceil((o + 1) I / O) - floor(o I / O) <= ceil(I / O) + 1.
        KH, KW = min(IH, -(-IH // OH) + 1), min(IW, -(-IW // OW) + 1)
        return Pool2dShape(case.N, case.C, IH, IW, OH, OW, KH, KW, 1, 1, 0, 0, 1, 1, 0,
                           False, True, channels_last)  # fmt: skip
    image = torch.empty(1, 1, case.IH, case.IW)
    OH, OW = torch.nn.functional.max_pool2d(
        image, case.kernel, case.stride, case.padding, case.dilation, case.ceil_mode
    ).shape[2:]
    return Pool2dShape(case.N, case.C, case.IH, case.IW, OH, OW, *case.kernel, *case.stride,
                       *case.padding, *case.dilation, case.divisor_override or 0,
                       case.count_include_pad, False, channels_last)  # fmt: skip


def conv2d(shim: Shim, case, x, w, bias, grad_y, lasts, tuning=None, family=CHOSEN, offset=0):
    """[y, grad_x, grad_w, grad_bias], once the shim has found no error."""
    shape, tuning = conv_shape(case, *lasts), tuning or Tuning()
    dtype = DTYPES[x.dtype]
    at = {name: shim.give(name, t, offset) for name, t in
          {"x": x, "w": w, "bias": bias, "grad_y": grad_y}.items() if t is not None}  # fmt: skip
    results = {"y": grad_y, "grad_x": x, "grad_w": w, "grad_bias": bias}
    outputs = {name: torch.empty_strided(t.shape, t.stride(), dtype=t.dtype)
               for name, t in results.items() if t is not None}  # fmt: skip
    for name, t in outputs.items():
        at[name] = shim.memory(name, t.numel(), t.element_size(), offset)
    bytes_ = shim.call("conv2d_weight_workspace", dtype, shape, family, tuning)
    workspace = shim.memory("workspace", -(-bytes_ // GUARDED), GUARDED)
    codes = [
        shim.call("conv2d_forward", dtype, shape, at["x"], at["w"], at.get("bias"), at["y"],
                  family, tuning, None),
        shim.call("conv2d_backward_input", dtype, shape, at["grad_y"], at["w"], at["grad_x"],
                  family, tuning, None),
        shim.call("conv2d_backward_weight", dtype, shape, at["grad_y"], at["x"], at["grad_w"],
                  at.get("grad_bias"), workspace, family, tuning, None),
    ]  # fmt: skip
    assert shim.errors() == [] and codes == [0, 0, 0], (codes, shim.errors())
    taken = [shim.take(at[n], outputs[n]) if n in outputs else None for n in results]
    return taken


def max_pool2d(shim: Shim, case, x: Tensor, grad_y: Tensor, last: bool, tuning=None):
    """[y, indices, grad_x], once the shim has found no error."""
    shape, tuning, dtype = pool_shape(case, last), tuning or Tuning(), DTYPES[x.dtype]
    y, indices = torch.empty_like(grad_y), torch.empty_like(grad_y, dtype=torch.int64)
    grad_x = torch.empty_like(x)
    ax, agy = shim.give("x", x), shim.give("grad_y", grad_y)
    ay, ai = shim.memory("y", y.numel(), y.element_size()), shim.memory("indices", y.numel(), 8)
    bytes_ = shape.KH * shape.KW <= 256 and not shape.adaptive
    ac = shim.memory("codes", y.numel(), 1 if bytes_ else 4)
    agx = shim.memory("grad_x", x.numel(), x.element_size())
    codes = [
        shim.call("max_pool2d_forward", dtype, shape, ax, ay, ac, tuning, None),
        shim.call("max_pool2d_indices", shape, ac, ai, tuning, None),
        shim.call("max_pool2d_backward", dtype, shape, agy, ac, agx, tuning, None),
    ]
    assert shim.errors() == [] and codes == [0, 0, 0], (codes, shim.errors())
    return [shim.take(ay, y), shim.take(ai, indices), shim.take(agx, grad_x)]


def avg_pool2d(shim: Shim, case, x: Tensor, grad_y: Tensor, last: bool, tuning=None):
    """[y, grad_x], once the shim has found no error."""
    shape, tuning, dtype = pool_shape(case, last), tuning or Tuning(), DTYPES[x.dtype]
    y, grad_x = torch.empty_like(grad_y), torch.empty_like(x)
    ax, agy = shim.give("x", x), shim.give("grad_y", grad_y)
    ay = shim.memory("y", y.numel(), y.element_size())
    agx = shim.memory("grad_x", x.numel(), x.element_size())
    codes = [
        shim.call("avg_pool2d_forward", dtype, shape, ax, ay, tuning, None),
        shim.call("avg_pool2d_backward", dtype, shape, agy, agx, tuning, None),
    ]
    assert shim.errors() == [] and codes == [0, 0], (codes, shim.errors())
    return [shim.take(ay, y), shim.take(agx, grad_x)]
