"""How nvcc is called: for which architectures, from which PTX; when a file is compiled anew."""

import re
import subprocess
import sys

import pytest

import setup_cuda


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["90"], ["arch=compute_80,code=[sm_90,compute_80]"]),
        (["75"], ["arch=compute_75,code=[sm_75,compute_75]"]),
        (
            setup_cuda.ARCHITECTURES,
            [
                "arch=compute_75,code=[sm_75]",
                "arch=compute_80,code=[sm_80,sm_86,sm_89,sm_90,sm_100]",
                "arch=compute_120,code=[sm_120,compute_120]",
            ],
        ),
    ],
)
def test_machine_code_for_each_architecture_from_shared_ptx(wanted, expected):
    assert setup_cuda.codes(wanted) == [f"-gencode={code}" for code in expected]


def test_the_sources_tell_no_other_architectures_apart():
    """Else an architecture would get the PTX of another one's source."""
    files = (setup_cuda.ROOT / "csrc" / "cuda").rglob("*.[ch]u*")
    text = "".join(p.read_text() for p in [*files, *(setup_cuda.ROOT / "csrc/cuda").rglob("*.h")])
    compared = re.findall(r"__CUDA_ARCH__ (<|>=) (\d+)", text)
    assert compared and {int(number) // 10 for _, number in compared} <= set(setup_cuda.VIRTUAL)
    assert text.count("__CUDA_ARCH__ ") == len(compared)  # it is asked in no other way


@pytest.mark.parametrize(
    ("setting", "in_place", "gpu", "why"),
    [
        ("auto", False, False, None),
        ("auto", False, True, None),
        ("auto", True, True, None),
        ("auto", True, False, "no GPU is here; FASTCONV_CUDA=1 builds it"),
        ("1", True, False, None),
        ("0", False, True, "FASTCONV_CUDA=0"),
    ],
)
def test_when_the_library_is_built_where_nvcc_is(monkeypatch, setting, in_place, gpu, why):
    monkeypatch.setenv("FASTCONV_CUDA", setting)
    monkeypatch.setattr(setup_cuda, "find_nvcc", lambda: "nvcc")
    monkeypatch.setattr(setup_cuda, "said", lambda command: ["GPU 0"] * gpu)
    assert setup_cuda.why_not(in_place) == why


def program(folder, code):
    path = folder / "nvcc"
    path.write_text(f"#!{sys.executable}\nimport pathlib, sys\n{code}")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("asked", "expected"), [("8.0; 9.0", ["80", "90"]), ("", ["75", "80", "90"]), ("3.5", [])]
)
def test_architectures_that_nvcc_knows(monkeypatch, tmp_path, asked, expected):
    program(tmp_path, "print('sm_90\\nsm_80\\nsm_75\\nsm_70')")
    monkeypatch.setenv("FASTCONV_CUDA", "1")
    monkeypatch.setenv("FASTCONV_CUDA_ARCHS", asked)
    assert setup_cuda.architectures(str(tmp_path / "nvcc")) == expected


def test_a_file_is_compiled_again_when_something_that_it_includes_changes(tmp_path, monkeypatch):
    source = tmp_path / "a" / "k.cu"
    source.parent.mkdir()
    source.write_text('#include "x.h"\n#include <cmath>\n')
    (source.parent / "x.h").write_text('#include "../y.cuh"\n')
    (tmp_path / "y.cuh").write_text("int y;\n")
    (tmp_path / "a" / "other.h").write_text("int z;\n")
    names = [path.name for path in setup_cuda.included(source)]
    assert sorted(names) == ["k.cu", "x.h", "y.cuh"]
    program(tmp_path, "pathlib.Path(sys.argv[-1]).write_text(str(sys.argv[1:]))")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # asked for its version, the program writes a file of that name
    folder = tmp_path / "objects"
    folder.mkdir()

    def compiled(*flags):
        before = set(folder.iterdir())
        setup_cuda.compile_once([str(tmp_path / "nvcc"), *flags], source, folder)
        return len(set(folder.iterdir()) - before)

    assert compiled("-O3") == 1 and compiled("-O3") == 0
    (tmp_path / "a" / "other.h").write_text("int changed;\n")
    assert compiled("-O3") == 0 and compiled("-O2") == 1
    (tmp_path / "y.cuh").write_text("int changed;\n")
    assert compiled("-O3") == 1
    program(tmp_path, "pathlib.Path(sys.argv[-1]).write_text('half'); sys.exit('error: killed')")
    (tmp_path / "y.cuh").write_text("int again;\n")
    with pytest.raises(RuntimeError, match="error: killed"):
        compiled("-O3")
    assert len(list(folder.glob("*.o"))) == 3  # no half of a file counts


def test_it_runs_where_nothing_but_python_is():
    """setup.py imports it in pip's environment for builds."""
    command = [sys.executable, "-S", "-c", "import setup_cuda"]
    assert subprocess.run(command, cwd=setup_cuda.ROOT).returncode == 0
