"""Builds fastconv._C from the C++ files under csrc/ (pybind11, libgomp, no torch): new files need
no edit here. csrc/torch/ is a library of its own, and so is fastconv._debug, with FASTCONV_DEBUG=1:
fastconv._C once more, with what only tests and benchmarks need.

Where torch is importable its BuildExtension drives ninja, with header dependencies and parallel
jobs, and csrc/torch/ becomes fastconv._torch, which makes small calls cheaper for that version of
torch (fastconv/core/eager.py). Otherwise plain setuptools compiles in parallel. Instruction sets
are chosen inside the sources, so no -march flags stand here.
"""

import os
import sys
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
SOURCES = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "csrc").rglob("*.cpp"))
TORCH_SOURCES = [p for p in SOURCES if p.startswith("csrc/torch/")]
DEBUG_NAMES = {"avx2_wide.cpp", "debug.cpp", "_debug.cpp"}  # of fastconv._debug alone
COMMON_SOURCES = [
    p for p in SOURCES if p not in TORCH_SOURCES and Path(p).name not in {"_C.cpp", *DEBUG_NAMES}
]
DEBUG_SOURCES = [p for p in SOURCES if Path(p).name in DEBUG_NAMES]
HEADERS = sorted(
    str(p.relative_to(ROOT)) for p in (ROOT / "csrc").rglob("*") if p.suffix in {".h", ".inl"}
)

COMPILE_FLAGS = [
    "-std=c++17",
    "-O3",
    "-ffp-contract=fast",
    "-fvisibility=hidden",
    "-g0",
]
WARNINGS = ["-Wall", "-Wextra", "-Wno-psabi", "-Wno-unknown-pragmas", "-Wno-maybe-uninitialized"]


def kernels(name: str, own_sources: list[str]) -> Pybind11Extension:
    return Pybind11Extension(
        name,
        COMMON_SOURCES + own_sources,
        depends=HEADERS,
        extra_compile_args=COMPILE_FLAGS + WARNINGS,
        extra_link_args=["-lgomp"],
    )


if sys.platform != "linux":
    raise SystemExit("fastconv builds on Linux only (g++ or clang with GNU OpenMP).")
libraries = [kernels("fastconv._C", ["csrc/bindings/_C.cpp"])]
if os.environ.get("FASTCONV_DEBUG", "0") != "0":
    libraries.append(kernels("fastconv._debug", DEBUG_SOURCES))
os.environ.setdefault("MAX_JOBS", str(os.cpu_count() or 1))
try:
    from torch.utils.cpp_extension import BuildExtension, CppExtension
except ImportError:
    ParallelCompile("MAX_JOBS").install()
    build_command, extensions = build_ext, libraries
else:
    host = CppExtension(
        "fastconv._torch",
        TORCH_SOURCES,
        depends=HEADERS,
        extra_compile_args=["-O1", "-g0", "-fvisibility=hidden"],
        optional=True,
    )

    class build_command(BuildExtension):
        # torch puts each library's name into its flags; without it the libraries of the kernels
        # share their object files.
        def _define_torch_extension_name(self, extension):
            if extension not in libraries:
                super()._define_torch_extension_name(extension)

        def build_extension(self, extension):
            try:
                super().build_extension(extension)
            except Exception as error:  # ninja's failures are RuntimeErrors
                if not extension.optional:
                    raise
                print(f"fastconv builds without {extension.name}: small calls cost more. {error}")

    extensions = [*libraries, host]

setup(ext_modules=extensions, cmdclass={"build_ext": build_command})
