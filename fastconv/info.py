"""What is installed: the report of `fastconv info`. Layer: public, over core."""

import platform

import torch

from fastconv.core import eager
from fastconv.core.extension import _C, describe_cuda

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
        ("cuda", describe_cuda()),
        ("types", ", ".join(_C.DTYPES) + " (16 bits: sums in float32)"),
    ]
    used, bound = _C.filter_cache_bytes(), _C.filter_cache_bound()
    lines.append(("filter cache", f"{used} of {bound} bytes (fastconv.flags)"))
    lines += [(f"conv2d {d}", ", ".join(_C.conv2d_paths(d))) for d in DIRECTIONS]
    return "\n".join(f"{name:24}{text}" for name, text in lines)
