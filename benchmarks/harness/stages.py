"""Runs the stages of a plan, each in a process of its own, and collects their rows."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import machine, plan, results, roofline

JOURNALS = machine.ROOT / "runs" / "bench"
LEAST_STAGE_SECONDS = 5


def worker_of(root: Path) -> str:
    """The module that measures, in the tree at `root`: commits before benchmarks/harness differ."""
    rooms = (root / "benchmarks" / "harness").exists()
    return "benchmarks.harness.worker" if rooms else "benchmarks.worker"


def run_stage(stage: plan.Stage, journal: Path, seconds: float, root: Path = machine.ROOT) -> int:
    """Runs what is missing, with the tree at `root`, in a process with the settings of the stage.

    Returns:
        its exit status
    """
    done, _ = results.read_journal(journal)
    jobs = [job for job in stage.jobs if plan.job_id(job) not in done]
    said = f"{stage.name}: {len(jobs)} of {len(stage.jobs)} rows to measure"
    print(f"{said}, {seconds:.0f} s at most", file=sys.stderr, flush=True)
    if not jobs:
        return 0
    orders = journal.with_suffix(".stage")
    told = {"jobs": jobs, "threads": stage.threads, "seconds": seconds}
    orders.write_text(json.dumps(told | {"malloc": stage.malloc}))
    environment = os.environ | plan.MALLOC[stage.malloc]
    environment |= {"OMP_NUM_THREADS": str(stage.threads), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    environment |= {"KINETO_LOG_LEVEL": "99"}  # torch's profiler is silent
    command = [sys.executable, "-m", worker_of(root), str(orders), str(journal)]
    process = subprocess.Popen(command, cwd=root, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:  # the worker got it too
        process.wait()
        raise


def run_all(planned: list[plan.Stage], journal: Path, minutes: float) -> bool:
    """Stage after stage; what one leaves of its time is for the later ones. False: stopped."""
    end = time.monotonic() + 60 * minutes
    for number, stage in enumerate(planned):
        weight = stage.share / sum(later.share for later in planned[number:])
        seconds = max((end - time.monotonic()) * weight, LEAST_STAGE_SECONDS)
        try:
            status = run_stage(stage, journal, seconds)
        except KeyboardInterrupt:
            status = 130
        if status == 130:
            print("stopped: the rows so far are kept", file=sys.stderr)
            return False
        if status:
            print(f"{stage.name}: the process ended with status {status}", file=sys.stderr)
    return True


def collect(planned: list[plan.Stage], journal: Path, quick: bool) -> dict:
    """The result so far."""
    rows, measured = results.read_journal(journal)
    peaks = roofline.best(measured)
    wanted = [plan.job_id(job) for stage in planned for job in stage.jobs]
    return {
        "format": results.FORMAT,
        "machine": machine.machine(),
        "finished": time.strftime("%Y-%m-%d %H:%M:%S"),
        "quick": quick,
        "malloc": plan.MALLOC,
        "peaks": peaks,
        "missing": sum(job not in rows for job in wanted),
        "rows": [roofline.bounded(rows[job], peaks) for job in wanted if job in rows],
    }
