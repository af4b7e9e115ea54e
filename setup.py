"""Builds fastconv._C from the C++ files under csrc/ (pybind11, libgomp, no torch): new files need
no edit here. csrc/torch/ is a library of its own, and so is fastconv._debug, with FASTCONV_DEBUG=1:
fastconv._C once more, with what only tests and benchmarks need. FASTCONV_STANDALONE=1 builds
fastconv._standalone, the operators for programs without Python (docs/ecosystem.md).

Where torch is importable its BuildExtension drives ninja, with header dependencies and parallel
jobs, and csrc/torch/ becomes fastconv._torch, which makes small calls cheaper for that version of
torch (fastconv/core/eager.py). Otherwise plain setuptools compiles in parallel. Instruction sets
are chosen inside the sources, so no -march flags stand here.

FASTCONV_CUDA=1 builds fastconv._C_cuda, the CUDA kernels, with nvcc; 0 does not; auto, the default,
does where nvcc is, but in place only where a GPU is, too (setup_cuda.py, docs/cuda.md).
"""

import functools
import os
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pybind11
from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

sys.path.insert(0, str(Path(__file__).resolve().parent))  # pip does not
import setup_cuda  # noqa: E402

try:
    from torch.utils.cpp_extension import BuildExtension, CppExtension
except ImportError:
    BuildExtension = CppExtension = None

ROOT = Path(__file__).resolve().parent
# Of csrc/cuda/ only the binding could be compiled here; csrc/cuda/simt/ is for tests alone.
SOURCES = sorted(
    p
    for p in (str(q.relative_to(ROOT)) for q in (ROOT / "csrc").rglob("*.cpp"))
    if not p.startswith("csrc/cuda/")
)
STANDALONE_SOURCES = [p for p in SOURCES if p.startswith("csrc/torch/standalone/")]
TORCH_SOURCES = [p for p in SOURCES if p.startswith("csrc/torch/") and p not in STANDALONE_SOURCES]
DEBUG_NAMES = {"avx2_wide.cpp", "debug.cpp", "_debug.cpp"}  # of fastconv._debug alone
COMMON_SOURCES = [
    p
    for p in SOURCES
    if not p.startswith("csrc/torch/") and Path(p).name not in {"_C.cpp", *DEBUG_NAMES}
]
# Compiled for other libraries, and linked into fastconv._standalone, too: all that knows no Python.
SHARED_SOURCES = [
    p for p in COMMON_SOURCES if not p.startswith("csrc/bindings/") or "entry_points" in p
] + ["csrc/torch/operators.cpp", "csrc/torch/unpool.cpp"]
GENERATED = ROOT / "build" / "generated"
DEBUG_SOURCES = [p for p in SOURCES if Path(p).name in DEBUG_NAMES]
HEADERS = sorted(
    str(p.relative_to(ROOT))
    for p in (ROOT / "csrc").rglob("*")
    if p.suffix in {".h", ".inl"} and ROOT / "csrc" / "cuda" not in p.parents
)

COMPILE_FLAGS = [
    "-std=c++17",
    "-O3",
    "-ffp-contract=fast",
    "-fvisibility=hidden",
    "-g0",
]
WARNINGS = ["-Wall", "-Wextra", "-Wno-psabi", "-Wno-unknown-pragmas", "-Wno-maybe-uninitialized"]
LINK_FLAGS = ["-lgomp"]

STANDALONE_NAME = "fastconv._standalone"
CUDA_NAME = "fastconv._C_cuda"
CUDA_BINDINGS = ["cuda/bindings/module.cpp", "bindings/shapes.cpp", "runtime/shapes.cpp",
                 "runtime/verbose.cpp"]  # fmt: skip

NEEDED = "fastconv needs a C++17 compiler (g++ 11 or newer, or clang, with GNU OpenMP)"
INSTALL = "install one, for instance with `apt-get install g++`, or name one in CXX"
# What a build needs of the compiler: a file that asks for it, and what to say if that fails.
PROBES = [
    (
        "#include <optional>\nint probe() { return std::optional<int>(1).value(); }\n",
        f"{NEEDED}: {{compiler}} does not compile C++17; {INSTALL}",
    ),
    (
        "#include <Python.h>\n",
        "fastconv needs the headers of Python: {compiler} does not compile Python.h;"
        " install them, for instance with `apt-get install python3-dev`",
    ),
    (
        'extern "C" int omp_get_max_threads();\nint probe() { return omp_get_max_threads(); }\n',
        f"{NEEDED}: {{compiler}} does not link with libgomp; {INSTALL}",
    ),
]


def compilers() -> list[list[str]]:
    """The commands that will compile and link: torch's choice, and that of setuptools."""
    chosen = os.environ.get("CXX")
    setuptools_own = sysconfig.get_config_var("CXX") or "g++"
    names = [chosen] if chosen else ["c++", setuptools_own] if BuildExtension else [setuptools_own]
    return [shlex.split(name) for name in names]


def check(compiler: list[str]) -> None:
    """Ends the build with one sentence, and the compiler's words after it, if `compiler` cannot."""
    if not shutil.which(compiler[0]):
        raise SystemExit(f"{NEEDED}: none was found as '{compiler[0]}'; {INSTALL}.")
    headers = sysconfig.get_paths()
    includes = [f"-I{headers[name]}" for name in ("include", "platinclude")]
    with tempfile.TemporaryDirectory() as folder:
        for code, sentence in PROBES:
            source = Path(folder, "probe.cpp")
            source.write_text(code)
            flags = ["-fPIC", "-shared", *COMPILE_FLAGS, *includes, "-o", f"{folder}/probe.so"]
            try:
                command = [*compiler, *flags, str(source), *LINK_FLAGS]
                done = subprocess.run(command, capture_output=True, text=True)
                failed, said = done.returncode != 0, done.stderr + done.stdout
            except OSError as error:  # not a program
                failed, said = True, str(error)
            if failed:
                sentence = sentence.format(compiler=f"'{shlex.join(compiler)}'")
                raise SystemExit(f"{sentence}. It said:\n\n{said}")


@functools.cache
def check_tools() -> None:
    """Once, before anything else is done or said."""
    for compiler in compilers():
        check(compiler)
    if BuildExtension and not shutil.which("ninja"):
        print("fastconv builds faster with ninja, which was not found: `pip install ninja`.")


def build_cuda(target: Path, folder: Path) -> None:
    headers = sysconfig.get_paths()
    includes = [pybind11.get_include(), headers["include"], headers["platinclude"]]
    command = [*compilers()[0], "-fPIC", *COMPILE_FLAGS, *(f"-I{path}" for path in includes)]
    bindings = [(command, ROOT / "csrc" / name) for name in CUDA_BINDINGS]
    setup_cuda.build(target, folder, bindings, int(os.environ["MAX_JOBS"]))


class CheckedBuild(build):
    def run(self) -> None:
        check_tools()
        super().run()


class CheckedBuildExt(BuildExtension or build_ext):
    def run(self) -> None:
        check_tools()
        super().run()

    def _define_torch_extension_name(self, extension) -> None:
        """torch puts each library's name into its flags. Without it the libraries share their
        object files."""

    def build_extension(self, extension) -> None:
        if extension.name == CUDA_NAME:
            target = Path(self.get_ext_fullpath(extension.name))
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                build_cuda(target, Path(self.build_temp) / "cuda")
            except (RuntimeError, OSError) as error:
                if os.environ.get("FASTCONV_CUDA") == "1":
                    raise SystemExit(f"{error}\n\n{CUDA_NAME} was not built.") from None
                print(f"fastconv builds without {CUDA_NAME}. {error}")
            return
        if extension.name == STANDALONE_NAME:
            write = runpy.run_path("csrc/torch/standalone/schemas.py")["write"]
            write(GENERATED / "schemas.inc")
            extension.extra_objects = self.compiler.object_filenames(
                SHARED_SOURCES, output_dir=self.build_temp
            )
        try:
            super().build_extension(extension)
        except Exception as error:  # ninja's failures are RuntimeErrors
            if not extension.optional:
                names = ", ".join(sorted({shlex.join(c) for c in compilers()}))
                raise SystemExit(
                    f"{error}\n\n{extension.name} was not built: '{names}' failed, and its first"
                    f" error above says why. {NEEDED}; {INSTALL}."
                ) from None
            print(f"fastconv builds without {extension.name}: small calls cost more. {error}")


def kernels(name: str, own_sources: list[str]) -> Pybind11Extension:
    return Pybind11Extension(
        name,
        COMMON_SOURCES + own_sources,
        depends=HEADERS,
        extra_compile_args=COMPILE_FLAGS + WARNINGS,
        extra_link_args=LINK_FLAGS,
    )


def with_torch(name: str, sources: list[str], optional: bool) -> Extension:
    return CppExtension(
        name,
        sources,
        depends=HEADERS,
        include_dirs=[str(GENERATED)],
        extra_compile_args=["-O1", "-g0", "-fvisibility=hidden"],
        optional=optional,
    )


IN_PLACE = {"--inplace", "-i", "develop", "editable_wheel"}  # words of the command


def extensions() -> list:
    standalone = os.environ.get("FASTCONV_STANDALONE", "0") != "0"
    libraries = [kernels("fastconv._C", ["csrc/bindings/_C.cpp"])]
    if os.environ.get("FASTCONV_DEBUG", "0") != "0":
        libraries.append(kernels("fastconv._debug", DEBUG_SOURCES))
    if setup_cuda.why_not(in_place=bool(IN_PLACE & set(sys.argv))) is None:
        libraries.append(Extension(CUDA_NAME, [], optional=True))
    if not CppExtension:
        if standalone:
            raise SystemExit("FASTCONV_STANDALONE=1, but torch cannot be imported.")
        return libraries
    libraries.append(with_torch("fastconv._torch", TORCH_SOURCES, not standalone))
    if standalone:
        library = with_torch(STANDALONE_NAME, STANDALONE_SOURCES, False)
        library.libraries.remove("torch_python")
        library.extra_link_args += LINK_FLAGS
        libraries.append(library)
    return libraries


if sys.platform != "linux":
    raise SystemExit("fastconv builds on Linux only (g++ or clang with GNU OpenMP).")
os.environ.setdefault("MAX_JOBS", str(os.cpu_count() or 1))
ParallelCompile("MAX_JOBS").install()  # where ninja does not take over
setup(ext_modules=extensions(), cmdclass={"build": CheckedBuild, "build_ext": CheckedBuildExt})
