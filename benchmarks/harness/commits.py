"""Measures two commits alternately: each is built in a worktree of its own, removed afterwards.

Both run the benchmarks of the present tree, so that only the package differs. A commit from before
benchmarks/harness runs its own benchmarks, whose jobs and rows are the same; the package had other
names then.
"""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.harness import cases, machine, plan
from benchmarks.harness.results import ResultError, key, read_journal, timed
from benchmarks.harness.stages import run_stage

SECONDS_PER_ROW = 0.6
HARNESS = "benchmarks/harness"


@contextlib.contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """The commit, built, with the present benchmarks where it can run them.

    Raises:
        ResultError: no such commit, or it cannot be built.
    """
    with tempfile.TemporaryDirectory(prefix="fastconv-") as folder:
        root = Path(folder) / "tree"
        _run(["git", "worktree", "add", "--detach", str(root), commit], machine.ROOT)
        try:
            print(f"building {commit}", file=sys.stderr, flush=True)
            _run([sys.executable, "setup.py", "build_ext", "--inplace"], root)
            for name in ("benchmarks", "tests") if (root / HARNESS).exists() else ():
                shutil.copytree(
                    machine.ROOT / name, root / name, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("__pycache__", "results"),
                )  # fmt: skip
            yield root
        finally:
            _run(["git", "worktree", "remove", "--force", str(root)], machine.ROOT)


def _run(command: list[str], where: Path) -> None:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise ResultError(f"`{' '.join(command)}` failed: {' '.join(last)}")


def measure_commits(
    pair: Sequence[str], patterns: Sequence[str] | None, runs: int
) -> tuple[dict, dict]:
    """A result of each, with the rows of all its runs brought together.

    Raises:
        ResultError: a commit cannot be built or measured.
        ValueError: a pattern that matches no case.
    """
    stage = plan.Stage("layers", min(2, os.cpu_count() or 1), "default", 1, [])
    plan.layer_jobs(stage, cases.select(patterns or cases.CORE), plan.SINGLE, ("eager",))
    seconds = max(10.0, SECONDS_PER_ROW * len(stage.jobs))
    rows: list[list[list[dict]]] = [[], []]
    with contextlib.ExitStack() as stack:
        roots = [stack.enter_context(worktree(commit)) for commit in pair]
        for run in range(runs):
            for number in (0, 1) if run % 2 == 0 else (1, 0):
                journal = roots[number] / f"run{run}.jsonl"
                if run_stage(stage, journal, seconds, roots[number]):
                    raise ResultError(f"the benchmarks do not run on {pair[number]}")
                rows[number].append(list(read_journal(journal)[0].values()))
    about = machine.machine()
    old, new = (
        {"machine": about | {"commit": commit}, "rows": merged(of)}
        for commit, of in zip(pair, rows, strict=True)
    )
    return old, new


def merged(runs: list[list[dict]]) -> list[dict]:
    """A row for each key: that of the median run, with the lowest and highest quartile of all."""
    by_key: dict[tuple, list[dict]] = {}
    for rows in runs:
        for row in timed(rows):
            by_key.setdefault(key(row), []).append(row)
    return [_middle(same) for same in by_key.values()]


def _middle(same: list[dict]) -> dict:
    theirs = [row["contenders"]["eager"] for row in same]
    ratios = [entry["ratio"] for entry in theirs]
    middle = ratios.index(statistics.median_low(ratios))
    theirs[middle] |= {
        "ratio_low": min(entry["ratio_low"] for entry in theirs),
        "ratio_high": max(entry["ratio_high"] for entry in theirs),
    }
    return same[middle]
