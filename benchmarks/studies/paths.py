"""The rule that chooses between Winograd and the direct kernels (csrc/cpu/winograd_paths.cpp),
measured: time of direct / time of Winograd over channels, maps and batches.

python -m benchmarks.studies.paths    eight minutes; writes
    benchmarks/results/paths-<date>-<isa>.json and .md, and benchmarks/pictures/paths.png

Ctrl-C, or the end of the time, leaves what is not measured blank: whole pictures of a batch come
one after another, each with its dearest layers last.
"""

import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch

from benchmarks import peers
from benchmarks.harness import cases, layer_row, plan, problems, results
from benchmarks.harness.machine import pin
from benchmarks.harness.timing import Call, measure
from benchmarks.harness.worker import run_jobs
from benchmarks.report import choices, page, small, tables

CHANNELS = (8, 16, 32, 64, 128, 256, 512)
MAPS = (4, 7, 14, 28, 56, 112)
BATCHES = (8, 1, 64)  # in the order in which they are measured
MAPS_5X5, BATCHES_5X5 = (7, 14, 28), (8, 1)
MINUTES = 8.0
METHOD = f"""\
Cells: time of the direct kernel / time of Winograd, medians over rounds in which both took turns,
into memory that is there already; above 1 Winograd is faster. As many channels in as out, padding
that keeps the extent, float32 NCHW. **Bold**: the rule chooses Winograd. Blank: a forward pass of
more than {cases.MOST_HOME_FLOP / 1e9:.0f} GFLOP, or time was up."""


def grid(
    channels: Sequence[int], maps: Sequence[int], batches: Sequence[int]
) -> list[cases.ConvCase]:
    """In the order of measuring; nothing is so large that memory could be short."""
    every = [
        cases.square(f"{K}x{K}, {N} images, {C} channels, {extent}x{extent}", N, C, extent, K)
        for K in (3, 5) for N in batches for C in channels for extent in maps
        if K == 3 or (extent in MAPS_5X5 and N in BATCHES_5X5)
    ]  # fmt: skip
    fitting = [case for case in every if cases.forward_flop(case) <= cases.MOST_HOME_FLOP]
    return sorted(fitting, key=lambda c: (c.KH, batches.index(c.N), cases.forward_flop(c)))


@lru_cache(maxsize=1)  # the directions of a layer come one after another
def _problem(case: cases.ConvCase) -> problems.ConvProblem:
    return problems.ConvProblem(case, torch.float32)


def measure_cell(job: dict, seconds: float) -> dict:
    """A row of the result: `ratio` is time of direct / time of Winograd."""
    case, direction = layer_row.unpacked(job["case"]), job["direction"]
    problem = _problem(case)
    calls = {path: Call(peers.kernel(problem, direction, path, job["threads"]))
             for path in ("winograd", "direct")}  # fmt: skip
    measured = measure(calls, seconds * layer_row.MEASURED_SHARE)
    ratio, low, high = measured.ratio("direct", "winograd")
    row = layer_row.head(job)
    row |= {"filter": case.KH, "batch": case.N, "channels": case.IC, "map": case.IH}
    row |= {"seconds": {name: measured.seconds(name).median for name in calls}}
    row |= {"ratio": ratio, "low": low, "high": high, "noisy": measured.noisy}
    return row | {"chosen": layer_row.path_of(problem, direction)}


def run(jobs: list[dict], seconds: float) -> list[dict]:
    """The rows that could be measured in the time, or until Ctrl-C."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.jsonl"
        try:
            run_jobs(jobs, measure_cell, journal, seconds)
        except KeyboardInterrupt:
            print("stopped: the cells so far are kept", file=sys.stderr)
        rows, _ = results.read_journal(journal)
    return [row for row in rows.values() if "ratio" in row]


def wrong_choices(rows: list[dict]) -> str:
    """A table of the cells where the rule picks the slower one, the worst first."""
    wrong = sorted(
        (row for row in rows if choices.lost(row) > choices.LOSS), key=choices.lost, reverse=True
    )
    if not wrong:
        return "None."
    lines = [[row["case"], row["direction"], row["chosen"],
              tables.with_quartiles(row["ratio"], row["low"], row["high"]),
              "noisy" if row["noisy"] else ""] for row in wrong]  # fmt: skip
    return tables.table(lines, ["cell", "direction", "chosen", "direct / Winograd", ""])


def tables_of(rows: list[dict]) -> list[str]:
    """A table for each direction, filter and batch."""
    parts = []
    for K, N in choices.kinds(rows):
        for direction in tables.DIRECTIONS:
            wanted = (K, N, direction)
            here = [r for r in rows if (r["filter"], r["batch"], r["direction"]) == wanted]
            said = {(row["channels"], row["map"]): _cell(row) for row in here}
            maps = choices.axis(here, "map")
            lines = [[str(C), *(said.get((C, extent), "") for extent in maps)]
                     for C in choices.axis(here, "channels")]  # fmt: skip
            parts.append(f"## {K}x{K}, batch {N}, {direction}")
            parts.append(tables.table(lines, ["channels", *(f"{m}x{m}" for m in maps)]))
    return parts


def _cell(row: dict) -> str:
    text = tables.number(row["ratio"])
    return f"**{text}**" if row["chosen"] == "winograd" else text


def main(arguments: list[str] | None = None) -> None:
    made = page.parser("paths", __doc__)
    for name, default in (("channels", CHANNELS), ("maps", MAPS), ("batches", BATCHES)):
        made.add_argument(f"--{name}", nargs="+", type=int, default=default)
    made.add_argument("--minutes", type=float, default=MINUTES, help="(default %(default)s)")
    made.add_argument("--pictures", type=Path, default=small.FOLDER, help="folder of paths.png")
    options = made.parse_args(arguments)
    pin(options.threads)
    stage = plan.Stage("paths", options.threads, "default", 1, [])
    chosen = grid(options.channels, options.maps, options.batches)
    jobs = plan.layer_jobs(stage, chosen, tables.DIRECTIONS, ["direct", "winograd"]).jobs
    rows = run(jobs, 60 * options.minutes)
    if not rows:
        sys.exit("no cell was measured")
    wrong = wrong_choices(rows)
    result = page.result(rows, options.threads)
    said = f"{len(rows)} of {len(jobs)} cells measured."
    parts = [METHOD, said, f"## Slower by more than {choices.LOSS - 1:.0%} than the other", wrong]
    path = page.write("paths", result, "Winograd or direct", parts + tables_of(rows), options.out)
    results.save(result, path.with_suffix(".json"))
    choices.draw(rows, options.pictures / "paths.png")
    print(f"{said}\n{wrong}\n{path}")


if __name__ == "__main__":
    main()
