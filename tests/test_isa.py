"""The tests of kernels once more for each instruction set that this CPU has, forced by FASTCONV_ISA
in a fresh process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastconv.extension import _C

TESTS = Path(__file__).parent
FILES = ["test_kernels.py", "test_kernels_pool.py", "test_winograd.py", "test_filter_cache.py"]
SUPPORTED = [isa for isa, supported in _C.cpu_features().items() if supported]


def run(isa: str, *command: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"FASTCONV_ISA": isa},
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("isa", [isa for isa in SUPPORTED if isa != _C.isa()])
def test_kernels_under(isa, file):
    said = run(
        isa, "-c", "from fastconv.extension import _C; print(_C.isa(), _C.lanes(_C.FLOAT32))"
    )
    lanes = {"generic": 4, "avx2": 8, "avx512": 16}[isa]
    assert said.stdout.split() == [isa, str(lanes)], said.stderr
    tests = run(isa, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS / file))
    assert tests.returncode == 0, tests.stdout[-4000:]


def test_widest_is_the_default():
    env = {k: v for k, v in os.environ.items() if k != "FASTCONV_ISA"}
    command = [sys.executable, "-c", "from fastconv.extension import _C; print(_C.isa())"]
    said = subprocess.run(command, env=env, cwd=TESTS.parent, capture_output=True, text=True)
    assert said.stdout.strip() == SUPPORTED[-1]


def test_unknown_instruction_set_is_one_clear_sentence():
    failed = run("sse9", "-c", "import fastconv")
    assert failed.returncode != 0
    last = failed.stderr.strip().splitlines()[-1]
    assert "FASTCONV_ISA=sse9 is not one of generic, avx2, avx512; unset it" in last
