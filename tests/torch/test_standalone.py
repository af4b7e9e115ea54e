"""fastconv._standalone: the operators in a program without Python. `make test-standalone` builds it
and the program; without it the test of the program is skipped."""

import importlib.util
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from small_net import Net, X
from tensors import fill
from torch.utils.cpp_extension import include_paths, library_paths

import fastconv
from fastconv.core import ops

ROOT = Path(__file__).resolve().parent.parent.parent
LIBRARY = importlib.util.find_spec("fastconv._standalone")


def test_the_build_reads_the_schemas_of_the_table():
    schemas = runpy.run_path(str(ROOT / "csrc/torch/standalone/schemas.py"))["operator_schemas"]()
    registered = [str(row.overload._schema) for row in ops.operators.values()]
    assert [str(torch._C.parse_schema(f"fastconv::{schema}")) for schema in schemas] == registered


@pytest.mark.skipif(LIBRARY is None or not shutil.which("c++"), reason="make test-standalone")
def test_a_package_of_aotinductor_runs_without_python(tmp_path):
    model, x = fastconv.convert(fill(Net()).float().eval()), X.float()
    with torch.no_grad():
        want = model(x)
        program = torch.export.export(model, (x,))
    package = torch._inductor.aoti_compile_and_package(program, package_path=f"{tmp_path}/net.pt2")
    x.numpy().tofile(tmp_path / "x")
    folders = library_paths()
    abi = f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"
    command = ["c++", "-std=c++20", "-O0", abi, str(ROOT / "tests/support/aoti_main.cpp")]
    command += [f"-I{folder}" for folder in include_paths()]
    command += [f"-L{folder}" for folder in folders] + [f"-Wl,-rpath,{f}" for f in folders]
    subprocess.run([*command, "-ltorch", "-ltorch_cpu", "-lc10", "-ldl", "-o", tmp_path / "main"],
                   check=True)  # fmt: skip

    def run(*library: str) -> subprocess.CompletedProcess:
        sizes = map(str, x.shape)
        args = [tmp_path / "main", package, tmp_path / "x", tmp_path / "y", *sizes, *library]
        return subprocess.run(args, capture_output=True, text=True)

    without = run()
    assert without.returncode != 0 and "fastconv::" in without.stderr
    done = run(LIBRARY.origin)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["libgomp.so.1"]  # one OpenMP runtime, no Python
    got = torch.from_numpy(np.fromfile(tmp_path / "y", np.float32)).view(want.shape)
    assert torch.equal(got, want)
