"""nvcc takes every kernel without a warning, and its figures are no worse than the committed ones
(docs/cuda.md); the library loads beside CPU torch. Skipped by name where nvcc is not installed."""

import os
import subprocess
import sys

import pytest
import torch
from cuda_shim import ROOT, sources

import setup_cuda
from benchmarks.gpu import evidence

SWEEP = os.environ.get("FASTCONV_CUDA_SWEEP", "0") != "0"
NVCC = setup_cuda.find_nvcc()
needs_nvcc = pytest.mark.skipif(NVCC is None, reason="nvcc was not found: nothing is compiled")
# make test compiles every kernel for these architectures, in one type: below sm_80 float has no
# kernels on tensor cores. The sweep compiles every type, and for three architectures more.
BUILDS = {"75": "Half", "80": "float", "90": "Half", "120": "float"}
if SWEEP:
    BUILDS = dict.fromkeys([*BUILDS, "86", "89", "100"], "")
KERNELS = [p for p in sources(ROOT / "csrc") if p.parent.name != "paths"]  # which call launchers


@needs_nvcc
@pytest.mark.parametrize("architecture", BUILDS)
@pytest.mark.parametrize("source", KERNELS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_nvcc_takes_every_kernel_and_no_figure_got_worse(source, architecture):
    found = evidence.of_source(NVCC, source, architecture, BUILDS[architecture])
    assert found and all(row["spills"] == 0 for row in found.values()), found
    known = evidence.committed()
    if known["compiler"] != setup_cuda.version(NVCC):
        pytest.skip(f"the committed figures are of {known['compiler']}")
    rows = known["kernels"].get(architecture, {})
    for name in found.keys() & rows.keys():
        assert evidence.worse(found[name], rows[name]) == [], name


def cuda_library():
    return pytest.importorskip("fastconv._C_cuda", reason="fastconv._C_cuda is not built")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here: launches do not fail")
def test_a_launch_without_a_driver_says_so():
    library = cuda_library()
    shape = library.Conv2dShape((1, 3, 8, 8), (4, 3, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1)
    queue = library.Queue(0)
    assert library.conv2d_weight_workspace(0, shape, queue) > 0
    x, w, y = (4096, 192), (4096, 108), (4096, 144)
    room = (4096, library.conv2d_weight_workspace(0, shape, queue))
    pool = library.Pool2dShape((1, 3, 8, 8), (2, 2), (2, 2), (0, 0))
    pooled = (4096, 48)
    calls = [
        lambda: library.conv2d_forward(0, shape, x, w, None, y, queue),
        lambda: library.conv2d_backward_input(0, shape, y, w, x, queue),
        lambda: library.conv2d_backward_weight(0, shape, y, x, w, None, room, queue),
        lambda: library.max_pool2d_forward(0, pool, x, pooled, None, queue),
        lambda: library.max_pool2d_indices(pool, pooled, pooled, queue),
        lambda: library.max_pool2d_backward(0, pool, pooled, pooled, x, queue),
        lambda: library.avg_pool2d_forward(0, pool, x, pooled, queue),
        lambda: library.avg_pool2d_backward(0, pool, pooled, x, queue),
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
