"""The choice between Winograd and the direct kernels beside what both took: what studies/paths.py
measures, as heat maps.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from benchmarks.report import tables
from benchmarks.report.small import write
from fastconv.plots.canvas import INK, SIGNED, new_figure

LOSS = 1.05  # a choice that takes so many times as long as the other is wrong
SPAN = 4  # of the colours, either way


def lost(row: dict) -> float:
    """How many times as long as the other the chosen kernel takes."""
    return 1 / row["ratio"] if row["chosen"] == "winograd" else row["ratio"]


def kinds(rows: list[dict]) -> list[tuple[int, int]]:
    return sorted({(row["filter"], row["batch"]) for row in rows})


def axis(rows: list[dict], name: str) -> list[int]:
    return sorted({row[name] for row in rows})


def draw(rows: list[dict], path: Path) -> None:
    """A heat map for each direction, filter and batch."""
    every, count = kinds(rows), len(tables.DIRECTIONS)
    title = "Time of direct / time of Winograd; outlined: the rule chooses Winograd"
    figure = new_figure(13, 1.5 + 3 * len(every), title)
    panels = figure.subplots(len(every), count, squeeze=False)
    for line, (K, N) in zip(panels, every, strict=True):
        same = [row for row in rows if (row["filter"], row["batch"]) == (K, N)]
        for axes, direction in zip(line, tables.DIRECTIONS, strict=True):
            here = [row for row in same if row["direction"] == direction]
            image = _heat_map(axes, here, axis(same, "channels"), axis(same, "map"))
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
