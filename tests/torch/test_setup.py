"""A build that cannot succeed says why in its first sentence, one that fails midway in its last."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = Path(__file__).resolve().parent.parent.parent / "setup.py"
NEEDED = "fastconv needs a C++17 compiler (g++ 11 or newer, or clang, with GNU OpenMP)"
INSTALL = "install one, for instance with `apt-get install g++`, or name one in CXX."
TOOLS = ("c++", "g++", "as", "ld")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project of one file, and a `bin` that is the whole PATH."""
    (tmp_path / "csrc/bindings").mkdir(parents=True)
    (tmp_path / "csrc/bindings/_C.cpp").write_text('extern "C" int PyInit__C() { return 0; }\n')
    (tmp_path / "bin").mkdir()
    shutil.copy(SETUP, tmp_path)
    text = SETUP.with_name("setup_cuda.py").read_text()  # which finds no nvcc outside of `bin`
    (tmp_path / "setup_cuda.py").write_text(text.replace('"/usr/local"', '"/nonexistent"'))
    return tmp_path


def with_tools(tree: Path) -> None:
    for tool in TOOLS:
        (tree / "bin" / tool).symlink_to(shutil.which(tool))


def refusing(tree: Path, word: str) -> str:
    """The path of a compiler that fails for sources with this word, and does nothing for others."""
    path = tree / "compiler"
    path.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        "source = next(a for a in sys.argv if a.endswith('.cpp'))\n"
        f"if {word!r} in pathlib.Path(source).read_text(): sys.exit('error: no {word}')\n"
    )
    path.chmod(0o755)
    return str(path)


def build(tree: Path, torch: bool, **env: str) -> tuple[int, list[str]]:
    """The exit status and the lines that were printed. Without `torch` its import fails."""
    if not torch:
        (tree / "absent").mkdir()
        (tree / "absent/torch.py").write_text("raise ImportError")
    changed = {"CXX", "CC", "MAX_JOBS", "CUDA_HOME", "FASTCONV_CUDA", "FASTCONV_CUDA_ARCHS"}
    kept = {k: v for k, v in os.environ.items() if k not in changed}
    done = subprocess.run(
        [sys.executable, "setup.py", "build"],
        cwd=tree,
        env=kept | {"PATH": str(tree / "bin"), "PYTHONPATH": str(tree / "absent")} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = done.stdout.splitlines()
    return done.returncode, [line for line in lines if line and line != "running build"]


@pytest.mark.parametrize("torch", [True, False], ids=["torch", "no torch"])
def test_no_compiler(tree, torch):
    name = "c++" if torch else "g++"
    status, lines = build(tree, torch)
    assert status == 1
    assert lines == [f"{NEEDED}: none was found as '{name}'; {INSTALL}"]


def test_a_compiler_that_is_not_there(tree):
    with_tools(tree)
    status, lines = build(tree, False, CXX="/nonexistent -O2")
    assert status == 1
    assert lines == [f"{NEEDED}: none was found as '/nonexistent'; {INSTALL}"]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("optional", "does not compile C++17; install one"),
        ("Python.h", "does not compile Python.h; install them"),
        ("omp_", "does not link with libgomp; install one"),
    ],
)
def test_a_compiler_that_fails(tree, word, sentence):
    compiler = refusing(tree, word)
    status, (first, *rest) = build(tree, False, CXX=compiler)
    assert status == 1
    assert f"'{compiler}' {sentence}" in first and first.endswith("It said:")
    assert rest == [f"error: no {word}"]


def test_a_file_that_is_no_program(tree):
    (tree / "compiler").write_text("\x7fELF")
    (tree / "compiler").chmod(0o755)
    status, (first, *rest) = build(tree, False, CXX=str(tree / "compiler"))
    assert status == 1 and len(rest) == 1
    assert f"'{tree / 'compiler'}' does not compile C++17; {INSTALL[:-1]}. It said:" in first


@pytest.mark.parametrize("torch", [True, False], ids=["torch", "no torch"])
def test_a_file_that_does_not_compile(tree, torch):
    with_tools(tree)
    (tree / "csrc/bindings/_C.cpp").write_text("#error this file is broken\n")
    status, lines = build(tree, torch)
    assert status == 1
    assert any("error: #error this file is broken" in line for line in lines)
    assert not any("Traceback" in line for line in lines)
    names = "c++, g++" if torch else "g++"
    assert lines[-1] == (
        f"fastconv._C was not built: '{names}' failed, and its first error above says why."
        f" {NEEDED}; {INSTALL}"
    )


def test_builds_without_ninja_and_says_so(tree):
    with_tools(tree)
    status, lines = build(tree, True)
    assert status == 0, lines
    assert (
        lines[0] == "fastconv builds faster with ninja, which was not found: `pip install ninja`."
    )
    assert list(tree.glob("build/lib*/fastconv/_C*.so"))


# ---- fastconv._C_cuda, with programs that stand for nvcc and nvidia-smi --------------------------


def with_nvcc(tree: Path, ends: str) -> None:
    """An nvcc that knows two architectures and ends so when it compiles; a GPU; a kernel."""
    (tree / "csrc/cuda/pool").mkdir(parents=True)
    (tree / "csrc/cuda/pool/kernel.cu").write_text("// a kernel\n")
    programs = {
        "nvcc": "print('sm_80\\nsm_90') if '--list-gpu-code' in sys.argv else None\n"
        f"if '-c' in sys.argv: {ends}\n",
        "nvidia-smi": "print('9.0')\n",
    }
    for name, code in programs.items():
        (tree / "bin" / name).write_text(f"#!{sys.executable}\nimport sys\n{code}")
        (tree / "bin" / name).chmod(0o755)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("1", "FASTCONV_CUDA=1, but nvcc was not found (in PATH, CUDA_HOME or /usr/local/cuda*)."),
        ("yes", "FASTCONV_CUDA is 'yes'; it may be 0, 1 or auto."),
    ],
)
def test_a_cuda_build_that_cannot_begin(tree, wanted, sentence):
    with_tools(tree)
    status, lines = build(tree, False, FASTCONV_CUDA=wanted)
    assert status == 1 and lines == [sentence]


@pytest.mark.parametrize("wanted", ["auto", "1", "0"])
def test_a_cuda_build_that_fails(tree, wanted):
    """It ends a build that asked for CUDA kernels, and costs no other anything."""
    with_tools(tree)
    with_nvcc(tree, "sys.exit('error: no room')")
    status, lines = build(tree, False, FASTCONV_CUDA=wanted)
    assert status == (wanted == "1"), lines
    assert bool(list(tree.glob("build/lib*/fastconv/_C.*.so"))) or wanted == "1"
    assert ("error: no room" in lines) == (wanted != "0")
    if wanted == "1":
        assert lines[-1] == "fastconv._C_cuda was not built."
    if wanted == "auto":
        (said,) = [line for line in lines if line.startswith("fastconv builds without")]
        assert "fastconv._C_cuda" in said and "code=[sm_90,compute_80]" in said
