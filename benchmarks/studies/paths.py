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

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from benchmarks import peers
from benchmarks.harness import cases, layer_row, plan, problems, results
from benchmarks.harness.machine import pin
from benchmarks.harness.timing import Call, measure
from benchmarks.harness.worker import run_jobs
from benchmarks.report import page, pictures, tables
from fastconv.plots.canvas import INK, SIGNED, new_figure, write

CHANNELS = (8, 16, 32, 64, 128, 256, 512)
MAPS = (4, 7, 14, 28, 56, 112)
BATCHES = (8, 1, 64)  # in the order in which they are measured
MAPS_5X5, BATCHES_5X5 = (7, 14, 28), (8, 1)
MINUTES = 8.0
LOSS = 1.05  # a choice that takes so many times as long as the other is wrong
SPAN = 4  # of the colours, either way
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


def lost(row: dict) -> float:
    """How many times as long as the other the chosen kernel takes."""
    return 1 / row["ratio"] if row["chosen"] == "winograd" else row["ratio"]


def wrong_choices(rows: list[dict]) -> str:
    """A table of the cells where the rule picks the slower one, the worst first."""
    wrong = sorted((row for row in rows if lost(row) > LOSS), key=lost, reverse=True)
    if not wrong:
        return "None."
    lines = [[row["case"], row["direction"], row["chosen"],
              tables.with_quartiles(row["ratio"], row["low"], row["high"]),
              "noisy" if row["noisy"] else ""] for row in wrong]  # fmt: skip
    return tables.table(lines, ["cell", "direction", "chosen", "direct / Winograd", ""])


def _kinds(rows: list[dict]) -> list[tuple[int, int]]:
    return sorted({(row["filter"], row["batch"]) for row in rows})


def _axis(rows: list[dict], name: str) -> list[int]:
    return sorted({row[name] for row in rows})


def tables_of(rows: list[dict]) -> list[str]:
    """A table for each direction, filter and batch."""
    parts = []
    for K, N in _kinds(rows):
        for direction in tables.DIRECTIONS:
            wanted = (K, N, direction)
            here = [r for r in rows if (r["filter"], r["batch"], r["direction"]) == wanted]
            said = {(row["channels"], row["map"]): _cell(row) for row in here}
            maps = _axis(here, "map")
            lines = [[str(C), *(said.get((C, extent), "") for extent in maps)]
                     for C in _axis(here, "channels")]  # fmt: skip
            parts.append(f"## {K}x{K}, batch {N}, {direction}")
            parts.append(tables.table(lines, ["channels", *(f"{m}x{m}" for m in maps)]))
    return parts


def _cell(row: dict) -> str:
    text = tables.number(row["ratio"])
    return f"**{text}**" if row["chosen"] == "winograd" else text


def draw(rows: list[dict], path: Path) -> None:
    """A heat map for each direction, filter and batch."""
    kinds, count = _kinds(rows), len(tables.DIRECTIONS)
    title = "Time of direct / time of Winograd; outlined: the rule chooses Winograd"
    figure = new_figure(13, 1.5 + 3 * len(kinds), title)
    panels = figure.subplots(len(kinds), count, squeeze=False)
    for line, (K, N) in zip(panels, kinds, strict=True):
        same = [row for row in rows if (row["filter"], row["batch"]) == (K, N)]
        for axes, direction in zip(line, tables.DIRECTIONS, strict=True):
            here = [row for row in same if row["direction"] == direction]
            image = _heat_map(axes, here, _axis(same, "channels"), _axis(same, "map"))
            axes.set_title(f"{direction}, {K}x{K}, batch {N}", fontsize=11)
        line[0].set_ylabel("channels, in and out")
    panels[-1][count // 2].set_xlabel("rows and columns of the map; bold: a wrong choice")
    ticks = [2.0**e for e in range(-2, 3)]
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    bar = figure.colorbar(image, ax=panels, ticks=ticks, format=plain, shrink=0.5, aspect=40,
                          extend="both")  # fmt: skip
    bar.minorticks_off()
    write(figure, path)


def _heat_map(axes: Axes, rows: list[dict], channels: list[int], maps: list[int]) -> AxesImage:
    ratios = np.full((len(channels), len(maps)), np.nan)
    for row in rows:
        y, x = channels.index(row["channels"]), maps.index(row["map"])
        ratios[y, x] = row["ratio"]
        wrong, dark = lost(row) > LOSS, abs(np.log2(row["ratio"])) > 1.3
        if row["chosen"] == "winograd":
            axes.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, fill=False, lw=1.8, ec=INK))
        axes.text(x, y, tables.number(row["ratio"]), ha="center", va="center", fontsize=8,
                  color="white" if dark else INK, fontweight="bold" if wrong else None)  # fmt: skip
    axes.set_xticks(range(len(maps)), maps)
    axes.set_yticks(range(len(channels)), channels)
    norm = LogNorm(1 / SPAN, SPAN)
    return axes.imshow(ratios, norm=norm, cmap=SIGNED, origin="lower", aspect="auto")


def main(arguments: list[str] | None = None) -> None:
    made = page.parser("paths", __doc__)
    for name, default in (("channels", CHANNELS), ("maps", MAPS), ("batches", BATCHES)):
        made.add_argument(f"--{name}", nargs="+", type=int, default=default)
    made.add_argument("--minutes", type=float, default=MINUTES, help="(default %(default)s)")
    made.add_argument("--pictures", type=Path, default=pictures.FOLDER, help="folder of paths.png")
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
    parts = [METHOD, said, f"## Slower by more than {LOSS - 1:.0%} than the other", wrong]
    path = page.write("paths", result, "Winograd or direct", parts + tables_of(rows), options.out)
    results.save(result, path.with_suffix(".json"))
    draw(rows, options.pictures / "paths.png")
    print(f"{said}\n{wrong}\n{path}")


if __name__ == "__main__":
    main()
