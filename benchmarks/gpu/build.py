"""Step "build": fastconv for this Python, and its CUDA kernels for this GPU alone, in place.

It needs g++, nvcc, setuptools and torch. pybind11's headers may be those that torch brings. It runs
in a folder of links without pyproject.toml, which older setuptools refuse.

    FASTCONV_CUDA_ARCHS=8.0 python -m benchmarks.gpu.build    # where no GPU is
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
# What setup.py asks of pybind11, where it is not installed: torch ships its headers.
STAND_IN = {
    "__init__.py": """
from pathlib import Path
import torch
def get_include():
    return str(Path(torch.__file__).parent / "include")
""",
    "setup_helpers.py": """
from setuptools import Extension
from . import get_include
class ParallelCompile:
    def __init__(self, *_): ...
    def install(self): ...
class Pybind11Extension(Extension):
    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.include_dirs.append(get_include())
""",
}


def architectures() -> str:
    """That of the GPU; without one, what FASTCONV_CUDA_ARCHS says; "": neither is there."""
    if torch.cuda.is_available():
        return ".".join(map(str, torch.cuda.get_device_capability()))
    return os.environ.get("FASTCONV_CUDA_ARCHS", "")


def environment(stand_in: Path) -> dict[str, str]:
    """Variables of the build; `stand_in`: a folder for one of pybind11."""
    variables = {
        **os.environ,
        "FASTCONV_CUDA": "1",
        "FASTCONV_CUDA_ARCHS": architectures(),
        "MAX_JOBS": str(os.cpu_count() or 1),
    }
    if importlib.util.find_spec("pybind11") is None:
        write_stand_in(stand_in)
        paths = [str(stand_in), os.environ.get("PYTHONPATH", "")]
        variables["PYTHONPATH"] = os.pathsep.join(paths)
    return variables


def write_stand_in(folder: Path) -> None:
    (folder / "pybind11").mkdir(parents=True, exist_ok=True)
    for name, text in STAND_IN.items():
        (folder / "pybind11" / name).write_text(text)


def link_tree(tree: Path) -> Path:
    """What setup.py needs, as links; objects of an earlier build stay."""
    tree.mkdir(parents=True, exist_ok=True)
    for name in ("setup.py", "setup_cuda.py", "csrc", "fastconv"):
        if not (tree / name).exists():
            (tree / name).symlink_to(ROOT / name)
    return tree


def main() -> int:
    if not architectures():
        print("build needs a GPU, or FASTCONV_CUDA_ARCHS, such as 8.0.", file=sys.stderr)
        return 2
    folder = ROOT / "build" / "gpu-check"
    tree = link_tree(folder / "tree")
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    shutil.rmtree(folder / "stand-in", ignore_errors=True)
    return subprocess.run(command, cwd=tree, env=environment(folder / "stand-in")).returncode


if __name__ == "__main__":
    sys.exit(main())
