"""A fifth of the tests of kernels once more for each instruction set that this CPU has, forced by
FASTCONV_ISA in a fresh process. FASTCONV_ISA_SWEEP=1 runs all of them (make test-isa-sweep)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastconv import _debug
from fastconv.core.extension import _C

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FILES = [
    "test_kernels.py",
    "test_kernels_pool.py",
    "test_halves.py",
    "test_depthwise.py",
    "test_grouped.py",
    "test_gemm.py",
    "test_stale_memory.py",
    "test_winograd.py",
    "test_dilated.py",
    "test_epilogues.py",
    "test_filter_cache.py",
    "test_filter_cache_changes.py",
]
SUPPORTED = [isa for isa, supported in _debug.cpu_features().items() if supported]
FOR_TESTS = "avx2-wide"  # AVX-512's lanes and tiles on any CPU with AVX2; never the default
LANES = {"generic": 4, "avx2": 8, "avx512": 16, FOR_TESTS: 16}
# Where AVX-512 itself runs every test, the stand-in for it is held to AVX-512's bits instead.
OTHERS = [
    isa for isa in SUPPORTED if isa != _C.isa() and not (isa == FOR_TESTS and "avx512" in SUPPORTED)
]


EVERY = "1" if os.environ.get("FASTCONV_ISA_SWEEP") else "5"


def run(isa: str, *command: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"FASTCONV_ISA": isa, "FASTCONV_TESTS_EVERY": EVERY},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("isa", OTHERS)
def test_kernels_under(isa, file):
    program = "from fastconv.core.extension import _C; print(_C.isa(), _C.lanes(0))"
    said = run(isa, "-c", program)
    assert said.stdout.split() == [isa, str(LANES[isa])], said.stderr
    tests = run(isa, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / file))
    assert tests.returncode == 0, tests.stdout[-4000:]


DIGESTS = """
import hashlib, torch
from cases import CONV_CASES
from fastconv.core.extension import _C
from raw_kernels import DIRECTIONS, Conv, supporting
from test_winograd import CASES

torch.manual_seed(0)
for case in CONV_CASES + CASES:
    for layout in ("nchw", "nhwc"):
        conv = Conv(case, torch.float32, layout)
        for direction in DIRECTIONS:
            for path in supporting(direction, conv.shape):
                for name, result in conv.run(direction, path).items():
                    digest = hashlib.sha1(result.numpy().tobytes()).hexdigest()
                    print(case.name, layout, path, name, digest)
"""


@pytest.mark.skipif("avx512" not in SUPPORTED, reason="compares with AVX-512")
def test_avx2_in_wide_vectors_gives_the_bits_of_avx512():
    folders = [str(HERE), str(ROOT / "tests" / "support")]
    code = f"import sys; sys.path[:0] = {folders!r}\n" + DIGESTS
    wide, narrow = run("avx512", "-c", code), run(FOR_TESTS, "-c", code)
    assert wide.returncode == narrow.returncode == 0, wide.stderr + narrow.stderr
    assert "winograd" in wide.stdout and wide.stdout.splitlines() == narrow.stdout.splitlines()


def test_widest_is_the_default():
    env = {k: v for k, v in os.environ.items() if k != "FASTCONV_ISA"}
    command = [sys.executable, "-c", "from fastconv.core.extension import _C; print(_C.isa())"]
    said = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    assert said.stdout.strip() == [isa for isa in SUPPORTED if isa != FOR_TESTS][-1]


def test_unknown_instruction_set_is_one_clear_sentence():
    failed = run("sse9", "-c", "import fastconv")
    assert failed.returncode != 0
    last = failed.stderr.strip().splitlines()[-1]
    assert "FASTCONV_ISA=sse9 is not one of generic, avx2, avx512; unset it" in last
    assert last.endswith("unset it to let fastconv choose")  # no advice on building
