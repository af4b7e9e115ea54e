"""Timing two ways of doing one thing, alternately in one process: ratios are less noisy."""

import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

import fastconv
from fastconv.extension import _C


class Comparison(NamedTuple):
    """Median seconds of both, and quartiles of the ratio theirs / ours over the rounds."""

    ours: float
    theirs: float
    ratio: float  # of the medians
    low: float
    high: float


def compare(ours: Callable, theirs: Callable, rounds: int = 40, seconds: float = 1.5) -> Comparison:
    """Runs both alternately, at least 8 and at most `rounds` times each, for about `seconds`."""
    for _ in range(3):
        ours()
        theirs()
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(times) < 8 or (len(times) < rounds and time.perf_counter() < end):
        start = time.perf_counter()
        ours()
        middle = time.perf_counter()
        theirs()
        times.append((middle - start, time.perf_counter() - middle))
    a, b = (statistics.median(t[i] for t in times) for i in (0, 1))
    low, _, high = statistics.quantiles((t[1] / t[0] for t in times), n=4)
    return Comparison(a, b, b / a, low, high)


def machine() -> dict[str, str | int]:
    """What a reader needs to know to judge the figures."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")),
        platform.processor(),
    )  # fmt: skip
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    return {
        "cpu": cpu,
        "isa": _C.isa(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "fastconv": fastconv.__version__,
        "compiler": _C.build_info()["compiler"],
        "commit": commit.stdout.strip() or "unknown",
    }


def report(about: dict, table: str, out: Path | None) -> None:
    """Prints a table under what it was measured on, and writes both to `out`.md if given."""
    text = ", ".join(f"{name} {value}" for name, value in about.items()) + "\n\n" + table
    print(text)
    if out:
        out.with_suffix(".md").write_text(text + "\n")
