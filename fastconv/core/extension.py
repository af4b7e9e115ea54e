"""Loads the compiled kernels: fastconv._C, or fastconv._debug for FASTCONV_ISA=avx2-wide, which
only that library has (CONTRIBUTING.md). Layer: operators, below ops.py.

torch comes first: the kernels then bind to the OpenMP runtime that torch has loaded, and no second
one enters the process.
"""

import glob
import importlib
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import torch


def load() -> ModuleType:
    """The module of the kernels, or ImportError with the original error and what was found."""
    debug = os.environ.get("FASTCONV_ISA") == "avx2-wide"
    try:
        return importlib.import_module("fastconv._debug" if debug else "fastconv._C")
    except ImportError as error:
        raise ImportError(explain_failure(error, Path(__file__).parent.parent)) from error


def explain_failure(error: ImportError, package: Path) -> str:
    if str(error).startswith("FASTCONV_ISA="):  # the library was found, and says what is wrong
        return str(error)
    built = sorted(p.name for p in package.glob("_C.*") if p.suffix in {".so", ".pyd"})
    python = f"Python {sys.version.split()[0]} looks for _C{sysconfig.get_config_var('EXT_SUFFIX')}"
    if built:
        found = f"{package} holds {', '.join(built)}"
        advice = "if it was built for another Python, rebuild it with `pip install .`"
    else:
        found = f"{package} holds no compiled _C"
        advice = (
            "build it with `pip install .` (needs a C++17 compiler), and import it from elsewhere"
        )
    return f"{error} [fastconv cannot load its kernels: {found}; {python}; {advice}]"


def load_cuda() -> ModuleType | None:
    """fastconv._C_cuda; None if it is not built or does not load (describe_cuda says why)."""
    try:
        return importlib.import_module("fastconv._C_cuda")
    except ImportError:
        return None


def describe_cuda() -> str:
    """Whether fastconv._C_cuda is built and loads, in a few words."""
    try:
        library = importlib.import_module("fastconv._C_cuda")
    except ModuleNotFoundError:
        places = [os.environ.get("CUDA_HOME", "/usr/local/cuda"), *glob.glob("/usr/local/cuda*")]
        nvcc = shutil.which("nvcc") or any(Path(p, "bin/nvcc").exists() for p in places)
        why = "set FASTCONV_CUDA=1 and build" if nvcc else "nvcc was not found"
        return f"not built: {why} (docs/cuda.md)"
    except ImportError as error:
        return f"built, but does not load: {error}"
    here = "" if torch.cuda.is_available() else "; torch finds no GPU"
    return f"kernels for sm_{library.ARCHITECTURES}{here} (docs/cuda.md)"


def load_torch_library() -> ModuleType | None:
    """fastconv._torch, which knows torch's C++ API; None if it was not built for this torch, or not
    with this fastconv._C."""
    try:
        library = importlib.import_module("fastconv._torch")
    except ImportError:
        return None
    built_for = library.torch_version, getattr(library, "interface", "")
    wanted = torch.__version__.split("+")[0], getattr(_C, "eager_interface", None)
    return library if built_for == wanted else None


_C = load()
torch_library = load_torch_library()
