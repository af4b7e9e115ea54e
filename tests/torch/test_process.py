"""What importing fastconv does to a process: one OpenMP runtime, torch's thread count, little time,
clear failures."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import fastconv
from fastconv.core.extension import explain_failure


def python(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


CONVOLVE = "y = fastconv.functional.conv2d(torch.randn(8, 8, 32, 32), torch.randn(8, 8, 3, 3))\n"


def test_one_openmp_runtime():
    maps = python(f"import fastconv, torch\n{CONVOLVE}print(open('/proc/self/maps').read())")
    runtimes = set(re.findall(r"\S*/(?:libgomp|libomp|libiomp)[^/\s]*\.so[.\d]*", maps))
    assert len({Path(r).resolve() for r in runtimes}) == 1, runtimes


@pytest.mark.parametrize("threads", [1, 3])
def test_set_num_threads_is_obeyed(threads):
    code = (
        "import fastconv, torch, os\n"
        f"torch.set_num_threads({threads})\n"
        "x, w = torch.empty(8, 8, 32, 32), torch.empty(8, 8, 3, 3)\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "fastconv.functional.conv2d(x, w)\n"
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    assert int(python(code)) == threads - 1  # the calling thread is one of them


HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text(),
    reason="the system has no transparent huge pages",
)
@pytest.mark.parametrize("call", ["conv2d(x, torch.randn(16, 16, 3, 3))", "max_pool2d(x, 1)"])
def test_large_outputs_take_few_page_faults(call):
    code = (
        "import fastconv, torch, resource\n"
        "x = torch.randn(4, 16, 514, 514)\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        f"y = fastconv.functional.{call}\n"
        "del y\n"
        "before = faults()\n"
        f"y = fastconv.functional.{call}\n"
        "print(faults() - before, y.nbytes // 4096)"
    )
    few, pages = map(int, python(code).split())
    assert pages > 16000 and few < pages / 10


def test_import_brings_few_modules_beyond_torch():
    code = (
        "import sys, torch; before = set(sys.modules); import fastconv\n"
        "print(*(set(sys.modules) - before))"
    )
    foreign = {name for name in python(code).split() if name.partition(".")[0] != "fastconv"}
    assert foreign <= {"sysconfig", "torch.utils.flop_counter", "torch.utils.module_tracker"}


def test_import_leaves_optional_packages_alone():
    code = (
        "import sys, torch; before = set(sys.modules); import fastconv\n"
        "print({'matplotlib', 'sklearn', 'tabulate', 'tqdm'} & (set(sys.modules) - before))"
    )
    assert python(code).strip() == "set()"


def test_failed_load_says_what_was_built_and_what_was_found(tmp_path):
    error = ImportError("undefined symbol: sgemm_")
    message = explain_failure(error, tmp_path)
    assert "undefined symbol: sgemm_" in message and "no compiled _C" in message
    assert f"Python {sys.version.split()[0]}" in message and "pip install ." in message
    (tmp_path / "_C.cpython-39-x86_64-linux-gnu.so").touch()
    assert "holds _C.cpython-39-x86_64-linux-gnu.so" in explain_failure(error, tmp_path)


def test_info_names_versions_and_paths():
    report = python("import fastconv.cli; fastconv.cli.main(['info'])")
    for part in (fastconv.__version__, torch.__version__, "avx2", "direct, reference", "threads"):
        assert part in report


def test_explain_names_path_and_workspace():
    x, w = torch.randn(2, 3, 16, 16), torch.randn(4, 3, 3, 3)
    said = fastconv.explain(x, w, padding=1)
    assert set(said) == {"forward", "backward_input", "backward_weight"}
    assert all(re.fullmatch(r"direct, \d+ bytes", text) for text in said.values())
    assert fastconv.explain(x.long(), w.long()) == {"torch": "dtype"}
    assert fastconv.explain(x, w, stride=0) == {"torch": "arguments"}


def test_explain_follows_autocast():
    x, w = torch.randn(8, 16, 32, 32), torch.randn(16, 16, 3, 3)
    assert "filters kept" in fastconv.explain(x, w, padding=1)["forward"]
    # Filters of a copy by autocast are not kept, as with gradients.
    short = fastconv.explain(x.bfloat16(), w.bfloat16().requires_grad_(), padding=1)
    with torch.autocast("cpu"):
        assert fastconv.explain(x, w, padding=1) == short
        assert fastconv.explain(x.half(), w, padding=1) == short
    assert fastconv.explain(x.half(), w, padding=1) == {"torch": "dtype"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_large_extents_overflow_nothing(dtype):
    # 2^31 + 32 output elements in an expanded batch would need gigabytes; one row of extents beyond
    # int32 does not.
    x = torch.ones(1, 1, 1, 3_000_000, dtype=dtype)
    w = torch.ones(1, 1, 1, 3, dtype=dtype)
    y = fastconv.functional.conv2d(x, w)
    assert y.shape == (1, 1, 1, 2_999_998) and (y == 3).all()
