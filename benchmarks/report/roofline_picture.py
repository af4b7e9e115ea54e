"""Convolutions under the roofline: operations per second over operations per byte.

Winograd stands at the operations that its products do, a quarter of a 3x3 convolution's at best,
so that no point lies above the roof. torch does not say what it does: its points count all.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmarks.harness import problems, spec
from benchmarks.harness.roofline import bandwidth
from benchmarks.peers import OURS
from benchmarks.report import tables
from benchmarks.report.small import write
from fastconv.plots.canvas import BLUE, GREY, INK, VERMILION, new_figure

MARKERS = {"forward": "o", "backward_input": "^", "backward_weight": "s"}
WINOGRAD = "#009E73"
PANELS = {OURS: "fastconv", "eager": "torch NCHW"}
KINDS = {
    BLUE: "fastconv, plain sums",
    WINOGRAD: "fastconv, Winograd: operations of its products",
    VERMILION: "torch: operations of plain sums, whatever it does",
}


def draw(result: dict, path: Path) -> bool:
    """Writes the picture, where the result has convolutions and a measured peak."""
    rows = [r for r in tables.of_stage(result, "layers") if r["kind"] == "ConvCase"]
    peaks = [p for p in result["peaks"] if p["stage"] == "layers" and "float32" in p["fma"]]
    if not rows or not peaks:
        return False
    figure = new_figure(13, 6.2, "Convolutions under the roofline")
    panels = figure.subplots(1, len(PANELS), sharex=True, sharey=True)
    for axes, (name, title) in zip(panels, PANELS.items(), strict=True):
        _draw_roofs(axes, peaks[-1], [r["flop"] / r["bytes"] for r in rows])
        for direction, marker in MARKERS.items():
            for colour in KINDS:
                here = [point for r in rows if r["direction"] == direction
                        and (point := point_of(r, name)) and point[2] == colour]  # fmt: skip
                axes.plot([x for x, _, _ in here], [y / 1e9 for _, y, _ in here], marker,
                          color=colour, markersize=4, alpha=0.6, markeredgewidth=0)  # fmt: skip
        axes.set(title=title, xlabel="operations per byte, if every tensor moves once")
        axes.grid(color=GREY, linewidth=0.4)
    panels[0].set(xscale="log", yscale="log", ylabel="GFLOP/s")
    keys = [Patch(color=colour, label=text) for colour, text in KINDS.items()]
    keys += [Line2D([], [], marker=marker, color=INK, linestyle="none", markersize=5, label=name)
             for name, marker in MARKERS.items()]  # fmt: skip
    keys += [Line2D([], [], color=INK, linestyle=style, label=f"roof: FMA peak, or {of}")
             for style, of in (("-", "memory"), ("--", "a cache, 1 MiB"))]  # fmt: skip
    figure.legend(handles=keys, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    write(figure, path)
    return True


def point_of(row: dict, name: str) -> tuple[float, float, str] | None:
    """Operations per byte, operations per second, colour; None where it was not timed."""
    entry = row["contenders"].get(name, {})
    if "median" not in entry:
        return None
    done, colour = row["flop"], VERMILION
    if name == OURS:
        case, path = spec.parse(row["shape"]), row["path"]
        done = problems.flop_done(case, row["direction"], path, row["flop"])
        colour = WINOGRAD if path == "winograd" else BLUE
    return done / row["bytes"], done / entry["median"], colour


def _draw_roofs(axes: Axes, peak: dict, intensities: list[float]) -> None:
    at = np.geomspace(min(intensities) / 2, max(intensities) * 2, 200)
    for size, style in ((peak["copy"][-1][0], "-"), (2**20, "--")):
        rate = bandwidth([c for c in peak["copy"] if c[0] <= size], size)
        roof = np.minimum(peak["fma"]["float32"], at * rate) / 1e9
        axes.plot(at, roof, style, color=INK, linewidth=1.2)
