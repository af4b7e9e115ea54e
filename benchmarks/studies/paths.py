"""The choice between paths (csrc/cpu/paths/estimates.h) beside the time that every path took, on
random layers of every kind that the estimates were not fitted to.

python -m benchmarks.studies.paths          30 minutes at most, alone on the machine; writes
                                            benchmarks/results/paths-<date>-<isa>.json and .md, and
                                            benchmarks/pictures/paths.png
python -m benchmarks.studies.paths --fit    measures other layers and prints the constants of
                                            csrc/cpu/paths/costs.h that fit them best

Cells are kept in runs/bench/ as they come: after Ctrl-C the same command goes on where it stopped.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

from benchmarks.harness import cases, costs, grid, layer_row, machine, path_times, plan, results
from benchmarks.harness.stages import JOURNALS
from benchmarks.harness.worker import run_jobs
from benchmarks.report import choices, page, small, tables

MINUTES = 30.0
OF_EACH = {grid.JUDGED: 8, grid.FITTED: 30}  # layers of each kind
PASSES = {grid.JUDGED: 5, grid.FITTED: 3}  # over all cells
ALL_TYPES = 4  # every so many layers, float64 too
METHOD = f"""\
A cell is a random layer in one direction, layout and type, run by every path that supports it. They
take turns; figures are medians. All cells are measured several times over, minutes apart, and the
median of these passes counts, because whatever disturbs a machine lasts for seconds. A choice is
wrong if it takes more than {choices.LOSS - 1:.0%} longer than the fastest path. The layers are
spread evenly over the logarithm of their cost, from {grid.LEAST_FLOP:.0e} to
{grid.MOST_FLOP:.0e} floating point operations forward. Cells that one path alone can run are left
out."""


def jobs_of(seed: int, of_each: int, threads: int, cpu_time: bool, passes: int = 1) -> list[dict]:
    """Every cell, the kinds in turn, so that a part of them is a fair sample too."""
    jobs: list[dict] = []
    by_kind = [grid.layers(seed, of_each)[i::of_each] for i in range(of_each)]
    for i, layer in enumerate(layer for part in by_kind for layer in part):
        kind, case = layer
        for dtype in ("float32", "float64") if i % ALL_TYPES == 0 else ("float32",):
            for channels_last in (False, True):
                for direction in tables.DIRECTIONS:
                    job = {"kind": "layer", "of": kind, "case": layer_row.packed(case)}
                    job |= {"dtype": dtype, "channels_last": channels_last, "cpu_time": cpu_time}
                    job |= {"direction": direction, "threads": threads, "peers": []}
                    jobs.append(job | {"stage": "paths", "malloc": "default"})
    return [job | {"pass": i} for i in range(passes) for job in jobs]


def measure_cell(job: dict, _seconds: float) -> dict:
    """A row of the result; without "ratios" where there is no choice."""
    case = layer_row.unpacked(job["case"])
    where = (case, job["direction"], job["channels_last"], getattr(torch, job["dtype"]))
    clock = time.thread_time if job["cpu_time"] else time.perf_counter
    row = {name: job[name] for name in ("of", "direction", "dtype", "channels_last")}
    row |= {"case": job["case"], "shape": cases.shape_text(case)}
    return row | path_times.measure_paths(*where, job["threads"], clock)


def merged(rows: list[dict]) -> dict:
    """The median of the passes over one cell."""
    full = [row for row in rows if row.get("ratios")]
    if not full:
        return {}
    names = set.intersection(*(set(row["ratios"]) for row in full))
    both = {what: {name: statistics.median(row[what][name] for row in full) for name in names}
            for what in ("seconds", "ratios")}  # fmt: skip
    least = min(both["ratios"].values())
    ratios = {name: ratio / least for name, ratio in both["ratios"].items()}
    return full[0] | both | {"ratios": ratios, "rounds": sum(row["rounds"] for row in full)}


def with_choices(row: dict) -> dict:
    """The row with what is chosen today, which may have changed since it was measured."""
    case = layer_row.unpacked(row["case"])
    where = (case, row["direction"], row["channels_last"], getattr(torch, row["dtype"]))
    told = path_times.answers(*where)
    parts = {a.name: dict((work, times) for work, times, _ in a.parts) for a in told if a.parts}
    estimates = {a.name: a.nanoseconds * 1e-9 for a in told if a.parts}
    return row | {"chosen": path_times.chosen(told), "estimates": estimates, "parts": parts}


def measured(jobs: list[dict], seconds: float, journal: Path) -> list[dict]:
    """The rows that could be measured in the time, or until Ctrl-C, with those of earlier calls."""
    done, _ = results.read_journal(journal)
    left = [job for job in jobs if plan.job_id(job) not in done]
    journal.parent.mkdir(parents=True, exist_ok=True)
    try:
        run_jobs(left, measure_cell, journal, seconds)
    except KeyboardInterrupt:
        print("stopped: the cells so far are kept", file=sys.stderr)
    done, _ = results.read_journal(journal)
    cells: dict[str, list[dict]] = {}
    for job in jobs:
        if plan.job_id(job) in done:
            cells.setdefault(plan.job_id(job | {"pass": 0}), []).append(done[plan.job_id(job)])
    return [with_choices(row) for row in map(merged, cells.values()) if row]


def journal_of(seed: int, threads: int, cpu_time: bool, name: str | None) -> Path:
    """Times are kept for as long as the kernels are the same; --journal NAME keeps them longer."""
    name = name or machine.code_id()
    return JOURNALS / f"paths-{name}-{seed}-{threads}{'-cpu' * cpu_time}.jsonl"


def main(arguments: list[str] | None = None) -> None:
    made = page.parser("paths", __doc__)
    made.add_argument("--minutes", type=float, default=MINUTES, help="(default %(default)s)")
    made.add_argument("--of-each", type=int, help="layers of each kind (default 8; --fit: 30)")
    made.add_argument("--passes", type=int, help="over all cells (default 5; --fit: 3)")
    made.add_argument("--cpu-time", action="store_true",
                      help="CPU time of one thread: for a machine that has other work")  # fmt: skip
    made.add_argument("--fit", action="store_true", help="print the constants that fit best")
    made.add_argument("--journal", help="name of the kept cells (default: of the code)")
    made.add_argument("--pictures", type=Path, default=small.FOLDER, help="folder of paths.png")
    options = made.parse_args(arguments)
    threads = 1 if options.cpu_time else options.threads
    machine.pin(threads)
    seed = grid.FITTED if options.fit else grid.JUDGED
    passes = options.passes or PASSES[seed]
    jobs = jobs_of(seed, options.of_each or OF_EACH[seed], threads, options.cpu_time, passes)
    journal = journal_of(seed, threads, options.cpu_time, options.journal)
    rows = measured(jobs, 60 * options.minutes, journal)
    if not rows:
        sys.exit("no cell was measured")
    if options.fit:
        print(costs.told(costs.fitted(rows)))
    print(choices.summary(rows))
    if not options.fit:
        write(rows, threads, options)


def write(rows: list[dict], threads: int, options: argparse.Namespace) -> None:
    slim = [{name: value for name, value in row.items() if name != "parts"} for row in rows]
    clock = "CPU time of one thread" if options.cpu_time else "wall time"
    result = page.result(slim, threads) | {"clock": clock}
    parts = [METHOD, f"{clock}. {choices.summary(rows)}", "## By kind", choices.by_kind(rows)]
    parts += ["## By direction, layout and type", choices.by_setting(rows)]
    parts += ["## Wrong choices, the worst first", choices.wrong_choices(rows)]
    path = page.write("paths", result, "The choice between paths", parts, options.out)
    results.save(result, path.with_suffix(".json"))
    choices.draw(rows, options.pictures / "paths.png")
    print(choices.by_kind(rows), path, sep="\n")


if __name__ == "__main__":
    main()
