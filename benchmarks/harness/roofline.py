"""What the machine can do at best, measured, and which part of it a row reaches.

The least time of a row is max(flop / FMA peak, bytes / copy bandwidth), where the copy is one of
about as many bytes, for small tensors stay in a cache. Its share of the roofline is that over the
time that it took.
"""

import ctypes
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("peak.cpp")
ROUNDS = 1_000_000
TRIES = 5
COPY_BYTES = [2**exponent for exponent in range(16, 29, 2)]  # read plus written


def best_seconds(run, tries: int = TRIES) -> float:
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def _fma_library(folder: str) -> ctypes.CDLL:
    """
    Raises:
        OSError: no compiler, or it failed.
    """
    names = (os.environ.get("CXX"), "g++", "c++", "clang++")
    compiler = next((found for name in names if name and (found := shutil.which(name))), None)
    if compiler is None:
        raise OSError("no C++ compiler to build the loop of multiply-adds")
    library = Path(folder) / "peak.so"
    flags = ["-O2", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC", "-pthread"]
    command = [compiler, *flags, str(SOURCE), "-o", str(library)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        raise OSError(f"{compiler} could not build {SOURCE.name}")
    return ctypes.CDLL(str(library))


def _fma_rate(library: ctypes.CDLL, dtype: str, threads: int) -> float:
    """Operations per second, an addition and a multiplication each, of all threads together."""
    run, flop = getattr(library, f"run_{dtype}"), getattr(library, f"flop_{dtype}")
    run.argtypes, run.restype = [ctypes.c_long], ctypes.c_double if "64" in dtype else None
    flop.restype = ctypes.c_long

    def together() -> None:
        others = [threading.Thread(target=run, args=(ROUNDS,)) for _ in range(threads - 1)]
        for other in others:
            other.start()
        run(ROUNDS)
        for other in others:
            other.join()

    together()
    return threads * ROUNDS * flop() / best_seconds(together)


def fma_meter(threads: int) -> Callable[[], float] | None:
    """A call that measures the multiply-adds in float32 of one of `threads` threads that all
    compute, in operations per second; None where there is no compiler.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:  # what is loaded stays
            library = _fma_library(folder)
    except OSError:
        return None
    return lambda: _fma_rate(library, "float32", threads) / threads


@lru_cache
def answer_meter() -> Callable[[], float] | None:
    """A call that measures how long one of two threads takes to answer the other through memory, in
    seconds: some 50 ns where they share a cache, 200 where they do not. A virtual machine's CPUs
    may be moved from one case to the other. None where there is no compiler.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = _fma_library(folder).answer_seconds
    except OSError:
        return None
    run.restype = ctypes.c_double
    return run


def copy_rate(size: int) -> float:
    """Bytes per second, read plus written, of copies within memory that is in use already."""
    source, target = (torch.ones(size // 8) for _ in range(2))
    count = max(1, 2**24 // size)

    def copies() -> None:
        for _ in range(count):
            target.copy_(source)

    copies()
    return count * size / best_seconds(copies)


def matmul_rate(extent: int = 1024) -> float:
    """Operations per second of torch's matrix product in float32."""
    a, b = torch.randn(extent, extent), torch.randn(extent, extent)
    a @ b
    return 2 * extent**3 / best_seconds(lambda: a @ b)


def measure_peaks(threads: int) -> dict:
    """`fma`: operations per second by type, empty where it could not be measured, `why` saying why
    not; `matmul`; `copy`: [bytes, bytes per second] by size.
    """
    peaks: dict = {"threads": threads, "fma": {}, "matmul": matmul_rate()}
    peaks["copy"] = [[size, copy_rate(size)] for size in COPY_BYTES]
    try:
        with tempfile.TemporaryDirectory() as folder:
            library = _fma_library(folder)
            rates = {d: _fma_rate(library, d, threads) for d in ("float32", "float64")}
            peaks["fma"] = rates
    except OSError as error:
        peaks["why"] = str(error)
    return peaks


def bandwidth(copy: list[list[float]], size: int) -> float:
    """Of the measured copies, the fastest of at least a quarter as many bytes."""
    return max(rate for at, rate in copy if at >= min(size / 4, copy[-1][0]))


def best(peaks: list[dict]) -> list[dict]:
    """The peaks of all stages, each with the best rate that any stage with as many threads reached.

    Whatever else runs on a machine, or a thread that wakes late, makes a peak lower, never higher.
    """
    found = []
    for peak in peaks:
        alike = [other for other in peaks if other["threads"] == peak["threads"]]
        fma = {dtype: max(other["fma"].get(dtype, 0) for other in alike) for dtype in peak["fma"]}
        copy = [[size, max(rate for other in alike for at, rate in other["copy"] if at == size)]
                for size, _ in peak["copy"]]  # fmt: skip
        found.append(peak | {"fma": fma, "copy": copy})
    return found


def bounded(row: dict, peaks: list[dict]) -> dict:
    """A row of a layer with its least time by the peaks of as many threads."""
    mine = next((peak for peak in peaks if peak["threads"] == row.get("threads")), None)
    if "least" not in row or mine is None:
        return row
    least, bound = least_seconds(row["flop"], row["bytes"], row["dtype"], mine)
    entries = {name: entry | {"roofline": least / entry["median"]} if "roofline" in entry else entry
               for name, entry in row["contenders"].items()}  # fmt: skip
    return row | {"least": least, "bound": bound, "contenders": entries}


def least_seconds(flop: float, size: float, dtype: str, peaks: dict) -> tuple[float, str] | None:
    """The roofline's time for so many operations and bytes, and what sets it: "compute" or
    "memory". None where the peak was not measured, or is that of another type.
    """
    peak = peaks["fma"].get(dtype)
    if peak is None:
        return None
    compute, memory = flop / peak, size / bandwidth(peaks["copy"], size)
    return max(compute, memory), "compute" if compute >= memory else "memory"
