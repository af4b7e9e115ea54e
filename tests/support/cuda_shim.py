"""CUDA kernels on the CPU: builds csrc/cuda/ with g++ and the SIMT shim (docs/simt.md) into one
library under build/, kept for the same sources, and calls it through ctypes."""

import ctypes
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pybind11
import torch
from torch import Tensor

import setup_cuda

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / "build" / "cuda-shim"
SHIM = ("runtime.cpp", "memory.cpp", "hooks.cpp", "report.cpp")
BINDINGS = ("cuda/bindings/module.cpp", "bindings/shapes.cpp", "runtime/shapes.cpp",
            "runtime/verbose.cpp")  # fmt: skip
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-tsan", "-Wno-psabi"]
COMMON_FLAGS = ["-std=c++17", "-g1", "-fPIC", *WARNINGS]  # lines, and no variables
SHIM_FLAGS = ("-O2",)
# Every access calls a hook of the shim; indices of arrays are checked; no other function is traced.
KERNEL_FLAGS = ("-O1", "-x", "c++", "-fsanitize=thread,bounds", "-fno-strict-aliasing",
                "--param", "tsan-instrument-func-entry-exit=0")  # fmt: skip
DTYPES = {torch.float32: 0, torch.float64: 1, torch.float16: 2, torch.bfloat16: 3}
COUNTERS = ["launches", "requests", "sectors", "ideal_sectors", "bytes_read", "bytes_written",
            "shared_requests", "wavefronts", "ideal_wavefronts"]  # fmt: skip


def compiler() -> str | None:
    return shutil.which(os.environ.get("CXX", "g++").split()[0])


def sources(csrc: Path) -> list[Path]:
    return sorted((csrc / "cuda").rglob("*.cu"))


def _run(command: list) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stderr}")


@functools.cache
def _compile(source: Path, flags: tuple[str, ...]) -> Path:
    """The object file of a source, made if none of its text and of all it includes is there."""
    command = [compiler(), *COMMON_FLAGS, *flags]
    target = CACHE / f"{setup_cuda.key_of(source, command)}.o"
    if not target.exists():
        part = target.with_suffix(f".{os.getpid()}.part")
        _run([*command, "-c", source, "-o", part])
        part.rename(target)
    return target


def build(csrc: Path, files: list[Path] | None = None, bindings: bool = False) -> Path:
    """The library of the given .cu files of a tree (all: None) and of its shim; with `bindings` it
    is the Python module _C_cuda as well."""
    CACHE.mkdir(parents=True, exist_ok=True)
    jobs = [(csrc / "cuda" / "simt" / name, SHIM_FLAGS) for name in SHIM]
    jobs += [(path, KERNEL_FLAGS) for path in (sources(csrc) if files is None else files)]
    if bindings:
        headers = {sysconfig.get_path("include"), pybind11.get_include()}
        flags = ("-O1", "-g0", "-fvisibility=hidden", *(f"-I{path}" for path in headers))
        flags += ('-DFASTCONV_CUDA_ARCHITECTURES="simt"',)
        jobs += [(csrc / name, flags) for name in BINDINGS]
    with open(CACHE / "lock", "w") as lock:  # test workers build once
        fcntl.flock(lock, fcntl.LOCK_EX)
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            objects = list(pool.map(_compile, *zip(*jobs, strict=True)))
        key = hashlib.sha256(" ".join(map(str, objects)).encode()).hexdigest()[:20]
        library = CACHE / f"{key}.so"
        if not library.exists():
            part = library.with_suffix(f".{os.getpid()}.part")
            _run([compiler(), "-shared", "-Wl,-Bsymbolic", *objects, "-ldl", "-o", part])
            part.rename(library)
    return library


class Conv2dShape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in (
        "N IC IH IW OC KH KW stride_h stride_w pad_top pad_bottom pad_left pad_right"
        " dilation_h dilation_w groups").split()]  # fmt: skip
    _fields_ += [(f"{tensor}_channels_last", ctypes.c_bool) for tensor in "xwy"]


class Pool2dShape(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in (
        "N C IH IW OH OW KH KW stride_h stride_w pad_h pad_w dilation_h dilation_w"
        " divisor_override").split()]  # fmt: skip
    _fields_ += [(name, ctypes.c_bool) for name in
                 ("count_include_pad", "adaptive", "channels_last")]  # fmt: skip


class Tuning(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in ("wide_index", "splits", "tensor_cores", "tf32")]


class Shim:
    """The library, and tensors in its memory."""

    def __init__(self, library: Path):
        # Lazily: test_simt_faults.py leaves types out that it does not call.
        self.lib = ctypes.CDLL(str(library), mode=os.RTLD_LAZY)
        self.lib.simt_allocate.restype = ctypes.c_void_p
        self.lib.simt_allocate.argtypes = [ctypes.c_char_p, *[ctypes.c_int64] * 3]
        self.lib.simt_initialise.argtypes = [ctypes.c_void_p]
        self.lib.simt_unwritten.argtypes = [ctypes.c_void_p]
        self.lib.simt_unwritten.restype = ctypes.c_int64
        self.lib.simt_errors.restype = ctypes.c_char_p
        if hasattr(self.lib, "fastconv_cuda_conv2d_weight_workspace"):
            self.lib.fastconv_cuda_conv2d_weight_workspace.restype = ctypes.c_int64

    def reset(self, schedule: int = 0, counting: bool = False) -> None:
        self.lib.simt_reset()
        self.lib.simt_set_schedule(schedule)
        self.lib.simt_set_counting(int(counting))

    def errors(self) -> list[str]:
        return self.lib.simt_errors().decode().splitlines()

    def counters(self) -> dict[str, int]:
        values = (ctypes.c_int64 * 10)()
        self.lib.simt_counters(values)
        return dict(zip(COUNTERS, values, strict=False))

    def memory(self, name: str, count: int, size: int, offset: int = 0) -> int:
        return self.lib.simt_allocate(name.encode(), count * size, size, offset * size)

    def give(self, name: str, t: Tensor, offset: int = 0) -> int:
        """The address of a copy of a tensor, element by element as it lies in memory."""
        flat = t.detach().as_strided((t.numel(),), (1,))
        at = self.memory(name, flat.numel(), flat.element_size(), offset)
        if flat.numel():
            ctypes.memmove(at, flat.data_ptr(), flat.numel() * flat.element_size())
        self.lib.simt_initialise(at)
        return at

    def take(self, at: int, like: Tensor) -> Tensor:
        """`like` with what the kernels wrote; fails if they left an element out."""
        left_out = self.lib.simt_unwritten(at)
        assert left_out == 0, f"{left_out} of {like.numel()} elements were never written"
        if like.numel():
            ctypes.memmove(like.data_ptr(), at, like.numel() * like.element_size())
        return like

    def call(self, name: str, *arguments) -> int:
        changed = [
            ctypes.c_void_p(a) if isinstance(a, int) and a > 1 << 31 else a for a in arguments
        ]
        changed = [ctypes.byref(a) if isinstance(a, ctypes.Structure) else a for a in changed]
        return getattr(self.lib, f"fastconv_cuda_{name}")(*changed)


@functools.cache
def shim() -> Shim:
    return Shim(build(ROOT / "csrc"))
