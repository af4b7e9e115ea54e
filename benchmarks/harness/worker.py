"""One process of a benchmark: runs the jobs of a stage and appends a line to the journal for each.

stages.py starts it with the environment of the stage:
python -m benchmarks.harness.worker STAGE JOURNAL
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from benchmarks.harness import layer_row, nets, overhead
from benchmarks.harness.machine import pin
from benchmarks.harness.plan import dearest_first, job_id
from benchmarks.harness.roofline import measure_peaks

LEAST_SECONDS, MOST_SECONDS = 0.15, 4.0  # of a row


def run_jobs(
    jobs: list[dict], measure: Callable[[dict, float], dict], journal: Path, seconds: float
) -> None:
    """Measures job after job and writes what is measured at once; stops when time is up.

    Each job gets an equal part of the time that is left, so slow ones take it from later ones.
    """
    end = time.monotonic() + seconds
    with open(journal, "a") as stream, tqdm(jobs, unit="row", disable=None) as bar:
        for done, job in enumerate(bar):
            bar.set_postfix_str(describe(job))
            left = end - time.monotonic()
            if left <= 0:
                break
            part = min(max(left / (len(jobs) - done), LEAST_SECONDS), MOST_SECONDS)
            try:
                row = measure(job, part)
            except Exception as error:  # of one row: the others are still worth having
                row = _head(job) | {"left_out": f"{type(error).__name__}: {error}".splitlines()[0]}
            stream.write(json.dumps({"id": job_id(job), "row": row}) + "\n")
            stream.flush()


def _head(job: dict) -> dict:
    if job["kind"] == "layer":
        return layer_row.head(job)
    return nets.head(job) if job["kind"] == "net" else {"stage": job["stage"]}


def describe(job: dict) -> str:
    if job["kind"] == "layer":
        return f"{job['case'][1]} {job['direction']}"
    return f"{job['net']} {job['mode']} {job['batch']}" if job["kind"] == "net" else job["kind"]


def _measure(jobs: list[dict], threads: int, journal: Path) -> Callable[[dict, float], dict]:
    """How to measure these jobs, which are all of one kind."""
    kind = jobs[0]["kind"]
    if kind == "net":  # forks: no thread may have started here, so no peaks either
        nets.load()
        return nets.measure_net
    if kind == "overhead":
        return overhead.measure_overhead
    peaks = measure_peaks(threads)
    with open(journal, "a") as stream:
        told = {"stage": jobs[0]["stage"], "malloc": jobs[0]["malloc"], **peaks}
        stream.write(json.dumps({"peaks": told}) + "\n")
    return lambda job, seconds: layer_row.measure_layer(job, peaks, seconds)


def main() -> int:
    stage = json.loads(Path(sys.argv[1]).read_text())
    journal = Path(sys.argv[2])
    warnings.filterwarnings("ignore")
    tqdm.monitor_interval = 0  # its thread would be forked
    pin(stage["threads"])
    start = time.monotonic()
    try:
        measure = _measure(stage["jobs"], stage["threads"], journal)
        jobs = stage["jobs"]
        if jobs[0]["kind"] == "net":
            jobs = dearest_first(jobs)
        left = stage["seconds"] - (time.monotonic() - start)
        run_jobs(jobs, measure, journal, left)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
