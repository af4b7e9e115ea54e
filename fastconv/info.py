"""What is installed and what will run: `fastconv info` and fastconv.explain. Beside modules."""

import platform

import torch
from torch import Tensor

from fastconv import arguments, eager, functional, ops
from fastconv.extension import _C
from fastconv.tensors import conv2d_output_size, is_channels_last, is_output_channels_last

DIRECTIONS = ("forward", "backward_input", "backward_weight")


def report() -> str:
    """Versions, compiler, CPU features, threads and path lists, one per line."""
    import fastconv

    build = _C.build_info()
    features = [
        f"{name} (for tests)" if name == "avx2-wide" else name
        for name, present in _C.cpu_features().items()
        if present
    ]
    lines = [
        ("fastconv", fastconv.__version__),
        ("kernels", _C.__file__),
        (
            "built with",
            f"{build['compiler']}, pybind11 {build['pybind11']}, Python {build['python']}",
        ),
        ("torch", torch.__version__),
        ("python", platform.python_version()),
        ("cpu", f"{platform.machine()}, supports {', '.join(features)}"),
        ("instruction set", f"{_C.isa()} (FASTCONV_ISA forces one)"),
        ("threads", f"{torch.get_num_threads()} (torch.set_num_threads)"),
        ("plain calls", eager.describe()),
        ("types", "float32, float64; float16 and bfloat16 through float32"),
    ]
    used, bound = _C.filter_cache_bytes(), _C.filter_cache_bound()
    lines.append(("filter cache", f"{used} of {bound} bytes (fastconv.flags)"))
    lines += [(f"conv2d {d}", ", ".join(_C.conv2d_paths(d))) for d in DIRECTIONS]
    return "\n".join(f"{name:24}{text}" for name, text in lines)


def explain(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: functional.IntOrPair = 1,
    padding: functional.IntOrPair | str = 0,
    dilation: functional.IntOrPair = 1,
    groups: int = 1,
) -> dict[str, str]:
    """How :func:`fastconv.functional.conv2d` would run these arguments, without running them.

    ``{direction: "path, workspace in bytes"}`` for forward, backward_input and backward_weight, or
    ``{"torch": reason}`` where the call is left to torch. Where no gradient would be recorded and
    forward keeps its transformed filters, their bytes follow.
    """
    given = (input, weight) if bias is None else (input, weight, bias)
    reason = arguments.refusal(*given)
    if reason is not None:
        return {"torch": reason}
    x = input.unsqueeze(0) if input.dim() == 3 else input
    bias_size = None if bias is None else bias.shape
    args = arguments.conv2d_args(
        x.shape, weight.shape, bias_size, stride, padding, dilation, groups
    )
    if args is None:
        return {"torch": "arguments"}
    number = ops.KERNEL_DTYPES[x.dtype if x.dtype in ops.KERNEL_DTYPES else torch.float32]
    x_last, w_last = is_channels_last(x), is_channels_last(weight)
    y_size = conv2d_output_size(x.shape, weight.shape, args)
    y_last = is_output_channels_last(x, weight, y_size, groups)
    shape = ops.conv2d_shape(x.shape, weight.shape, args, x_last, w_last, y_last)
    threads = torch.get_num_threads()
    said = {
        direction: f"{_C.conv2d_path(direction, shape)}, "
        f"{_C.conv2d_workspace_bytes(direction, number, shape, threads)} bytes"
        for direction in DIRECTIONS
    }
    if not functional.tracked(*given) and ops.caches_filters(weight):
        workspace, filters = _C.conv2d_cached_bytes(number, shape, threads)
        if filters:
            path = _C.conv2d_path("forward", shape)
            said["forward"] = f"{path}, {workspace} bytes, {filters} bytes of filters kept"
    return said
