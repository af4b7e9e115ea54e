"""Builds fastconv._C from every C++ file under csrc/ (pybind11, libgomp, no torch): new files need
no edit here.

Where torch is importable its BuildExtension drives ninja, with header dependencies and parallel
jobs; otherwise plain setuptools compiles in parallel. Instruction sets are chosen inside the
sources, so no -march flags stand here.
"""

import os
import sys
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
SOURCES = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "csrc").rglob("*.cpp"))
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


def build_command() -> type[build_ext]:
    try:
        from torch.utils.cpp_extension import BuildExtension
    except ImportError:
        ParallelCompile("MAX_JOBS").install()
        return build_ext
    return BuildExtension


if sys.platform != "linux":
    raise SystemExit("fastconv builds on Linux only (g++ or clang with GNU OpenMP).")
os.environ.setdefault("MAX_JOBS", str(os.cpu_count() or 1))

setup(
    ext_modules=[
        Pybind11Extension(
            "fastconv._C",
            SOURCES,
            depends=HEADERS,
            extra_compile_args=COMPILE_FLAGS + WARNINGS,
            extra_link_args=["-lgomp"],
        )
    ],
    cmdclass={"build_ext": build_command()},
)
