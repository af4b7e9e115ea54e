"""The choice between paths beside what every path took: what studies/paths.py measures, as tables
and as a picture.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.report import tables
from benchmarks.report.small import write
from fastconv.plots.canvas import new_figure

LOSS = 1.1  # a choice that takes so many times as long as the fastest path is wrong
MOST_SHOWN = 40  # wrong choices in the table


def lost(row: dict) -> float:
    """How many times as long as the fastest path the chosen one takes."""
    return row["ratios"][row["chosen"]]


def wrong(rows: Iterable[dict]) -> list[dict]:
    """The worst first."""
    return sorted((row for row in rows if lost(row) > LOSS), key=lost, reverse=True)


def summary(rows: list[dict]) -> str:
    count, mean = len(wrong(rows)), tables.geometric_mean(map(lost, rows))
    return (
        f"{len(rows)} cells: {count} choices ({count / len(rows):.1%}) take more than "
        f"{LOSS - 1:.0%} longer than the fastest path; on average a choice takes {mean:.3f} "
        "times as long."
    )


def _grouped(rows: list[dict], of: Callable[[dict], str], name: str) -> str:
    groups = defaultdict(list)
    for row in rows:
        groups[of(row)].append(row)
    lines = [
        [what, str(len(here)), str(len(wrong(here))),
         tables.number(tables.geometric_mean(map(lost, here)), 3),
         tables.number(max(map(lost, here)))]
        for what, here in groups.items()
    ]  # fmt: skip
    return tables.table(lines, [name, "cells", "wrong", "mean loss", "worst"])


def by_kind(rows: list[dict]) -> str:
    return _grouped(rows, lambda row: row["of"], "layers")


def layout(row: dict) -> str:
    return "channels_last" if row["channels_last"] else "NCHW"


def by_setting(rows: list[dict]) -> str:
    return _grouped(rows, lambda row: f"{row['direction']}, {layout(row)}, {row['dtype']}", "cells")


def wrong_choices(rows: list[dict]) -> str:
    """A table of the cells where the choice is wrong, the worst first."""
    lines = []
    for row in wrong(rows)[:MOST_SHOWN]:
        took = ", ".join(
            f"{path} {1e3 * seconds:.3g} ({1e3 * row['estimates'].get(path, 0):.3g})"
            for path, seconds in sorted(row["seconds"].items(), key=lambda item: item[1])
        )
        where = f"{row['direction']}, {layout(row)}, {row['dtype']}"
        lines.append([row["shape"], where, row["chosen"], tables.number(lost(row)), took])
    if not lines:
        return "None."
    return tables.table(lines, ["layer", "", "chosen", "loss", "ms of each path (estimated)"])


def draw(rows: list[dict], path: Path) -> None:
    """For each kind of layers, how many times as long as the fastest path each choice takes."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["of"]].append(lost(row))
    title = "Time of the chosen path / time of the fastest"
    figure = new_figure(11, 1.2 + 0.42 * len(groups), title)
    axes = figure.subplots()
    for y, losses in enumerate(groups.values()):
        ordered = sorted(losses)
        axes.plot(ordered, [y] * len(ordered), "|", ms=11, alpha=0.5)
        share = sum(loss > LOSS for loss in losses) / len(losses)
        axes.text(0.965, y, f"{share:.0%}", ha="right", va="center", fontsize=9)
    axes.axvline(LOSS, lw=0.8, ls="--", color="grey")
    axes.set_yticks(range(len(groups)), groups)
    axes.invert_yaxis()
    axes.set_xscale("log")
    ticks = (1, 1.1, 1.5, 2, 3, 5)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(0.92, max(2.0, 1.05 * max(map(lost, rows))))
    axes.set_xlabel(f"share of choices beyond {LOSS - 1:.0%} on the left")
    write(figure, path)
