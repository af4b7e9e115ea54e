"""The rooms of docs/architecture.md: a forbidden include or import fails here, and so does a rule
that no longer notices one."""

import shutil
from pathlib import Path

import pytest
from layering import violations

ROOT = Path(__file__).resolve().parent.parent

# file -> a line that it may not have, and what is said of it
PLANTED = [
    ("csrc/core/shape.h", '#include "../cpu/common/context.h"', "includes cpu/common/context.h"),
    ("csrc/core/dtype.h", "#include <torch/extension.h>", "includes <torch/extension.h>"),
    ("csrc/cpu/common/parallel.h", '#include "../direct/direct.h"', "includes cpu/direct/direct.h"),
    ("csrc/cpu/simd/vec.inl", '#include "../pool/table.h"', "includes cpu/pool/table.h"),
    ("csrc/cpu/direct/band.h", '#include "../winograd/tiles.h"', "includes cpu/winograd/tiles.h"),
    ("csrc/cpu/gemm/product.h", '#include "../winograd/table.h"', "includes cpu/winograd/table.h"),
    ("csrc/cpu/direct/band.h", "#include <immintrin.h>", "includes <immintrin.h>"),
    ("csrc/cpu/winograd/winograd.cpp", "void* p = malloc(8);", "has 'malloc'"),
    ("csrc/cpu/gemm/panel_product.inl", "int* p = new int;", "has 'new'"),
    ("csrc/cpu/pool/deeper/below.h", "inline void f() { throw 1; }", "has 'throw'"),
    ("csrc/cuda/common/gather.h", '#include "../gemm/tile.cuh"', "includes cuda/gemm/tile.cuh"),
    ("csrc/cuda/pool/pool2d.h", '#include "../simt/simt.h"', "includes cuda/simt/simt.h"),
    ("csrc/cuda/pool/pool2d.h", "#include <cuda_runtime.h>", "includes <cuda_runtime.h>"),
    ("csrc/cuda/simt/state.h", '#include "../../core/shape.h"', "includes core/shape.h"),
    ("csrc/cuda/paths/conv2d.cu", '#include "../../cpu/common/isa.h"', "includes cpu/common/isa.h"),
    ("csrc/cuda/gemm/tile.cuh", "__device__ void* p = malloc(8);", "has 'malloc'"),
    ("csrc/core/conv2d.h", 'auto* home = getenv("HOME");', "has 'getenv'"),
    ("csrc/cpu/pool/jobs.h", "#pragma omp parallel", "knows the thread runtime"),
    ("csrc/runtime/conv2d.h", "#include <pybind11/pybind11.h>", "includes <pybind11/pybind11.h>"),
    ("csrc/runtime/conv2d.h", '#include "../bindings/host.h"', "includes bindings/host.h"),
    ("csrc/bindings/conv2d.h", '#include "../cpu/direct/direct.h"', "includes cpu/direct/direct.h"),
    ("csrc/bindings/host.h", "#include <ATen/ATen.h>", "includes <ATen/ATen.h>"),
    ("csrc/torch/host.cpp", '#include "../cpu/paths/paths.h"', "includes cpu/paths/paths.h"),
    ("csrc/elsewhere/new.h", "", "lies in no room"),
    ("csrc/cpu/pool/long.h", "\n" * 300, "more than 300"),
    ("fastconv/data/long.py", "x = 1\n" * 300, "more than 300"),
    ("fastconv/core/tensors.py", "from fastconv.core import ops", "imports fastconv.core.ops"),
    ("fastconv/core/autograd.py", "from fastconv import functional", "imports fastconv.functional"),
    ("fastconv/functional/lp.py", "from fastconv import modules", "imports fastconv.modules"),
    ("fastconv/modules.py", "from fastconv import models", "imports fastconv.models"),
    ("fastconv/models/lenet.py", "from fastconv.core import eager", "imports fastconv.core"),
    ("fastconv/data/idx.py", "import fastconv.core.autograd", "imports fastconv.core"),
    ("fastconv/modules.py", "from fastconv.core.extension import _C", "reaches the kernels past"),
    ("fastconv/unplaced.py", "", "lies in no room"),
]  # fmt: skip


def test_every_door_is_one_of_the_plan():
    assert violations(ROOT) == []


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    for folder in ("csrc", "fastconv"):
        shutil.copytree(
            ROOT / folder, root / folder, ignore=shutil.ignore_patterns("*.so", "__py*")
        )
    return root


@pytest.mark.parametrize("file, line, said", PLANTED, ids=lambda v: str(v)[:40])
def test_a_planted_violation_is_found(copy, file, line, said):
    path = copy / file
    before = path.read_text() if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{before or ''}\n{line}\n")
    try:
        assert any(said in sentence for sentence in violations(copy)), violations(copy)
    finally:
        path.unlink() if before is None else path.write_text(before)
