"""nvcc accepts every kernel without a warning, for the architectures that are built; the library
loads beside CPU torch. Skipped by name where nvcc is not installed."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest
import torch
from cuda_shim import ROOT, sources

SWEEP = os.environ.get("FASTCONV_CUDA_SWEEP", "0") != "0"
ARCHITECTURES = ("75", "80", "90", "120")
STAMPS = ROOT / "build" / "cuda-nvcc"
NVCC = shutil.which("nvcc")
needs_nvcc = pytest.mark.skipif(NVCC is None, reason="nvcc was not found: nothing is compiled")


def compile_once(source, mode: list[str]) -> None:
    """The same text is compiled once on a machine."""
    text = hashlib.sha256(" ".join(mode).encode())
    for path in sorted((ROOT / "csrc").rglob("*")):
        if path == source or (path.suffix in {".h", ".cuh"} and "simt" not in path.parts):
            text.update(path.read_bytes())
    stamp = STAMPS / f"{source.parent.name}-{source.stem}-{text.hexdigest()[:20]}"
    if stamp.exists():
        return
    STAMPS.mkdir(parents=True, exist_ok=True)
    command = [NVCC, "-std=c++17", "-O3", "--expt-relaxed-constexpr", "-Werror", "all-warnings"]
    command += ["-Xcompiler", "-Wall,-Wextra,-Wno-unknown-pragmas", *mode, str(source)]
    output = STAMPS / f"{stamp.name}.{os.getpid()}.part"
    done = subprocess.run([*command, "-o", str(output)], capture_output=True, text=True)
    output.unlink(missing_ok=True)
    assert done.returncode == 0, done.stderr + done.stdout
    stamp.touch()


@needs_nvcc
@pytest.mark.parametrize(
    "source", sources(ROOT / "csrc"), ids=lambda p: f"{p.parent.name}-{p.stem}"
)
def test_nvcc_takes_every_kernel(source):
    """To PTX for the oldest architecture; to machine code for each of them in the sweep."""
    if not SWEEP:
        compile_once(source, ["-ptx", "-arch=compute_75"])
        return
    codes = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in ARCHITECTURES]
    compile_once(source, [*codes, "-c"])


def cuda_library():
    return pytest.importorskip("fastconv._C_cuda", reason="fastconv._C_cuda is not built")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here: launches do not fail")
def test_a_launch_without_a_driver_says_so():
    library = cuda_library()
    shape = library.Conv2dShape((1, 3, 8, 8), (4, 3, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1)
    assert library.conv2d_weight_workspace(0, shape) > 0
    calls = [
        lambda: library.conv2d_forward(0, shape, 4096, 4096, 0, 4096, 0),
        lambda: library.conv2d_backward_input(0, shape, 4096, 4096, 4096, 0),
        lambda: library.conv2d_backward_weight(0, shape, 4096, 4096, 4096, 0, 4096, 0),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="CUDA error 35.*no NVIDIA driver is here"):
            call()


def test_info_says_whether_there_are_cuda_kernels():
    done = subprocess.run(
        [sys.executable, "-m", "fastconv", "info"], capture_output=True, text=True, cwd=ROOT
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("cuda ")]
    assert "kernels for sm_" in line or "not built" in line, done.stdout
