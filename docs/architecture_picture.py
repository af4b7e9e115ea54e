"""Draws docs/architecture.svg: the layers, and the way of a call through them.

python docs/architecture_picture.py
"""

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

LEFT, RIGHT = 1.7, 10.7  # of the boxes
SPLIT, GAP = 6.5, 0.35  # between bindings and torch host: middle, half of its width
USERS, PYTHON, BINDINGS, HOST, KERNELS, SHAPE = (
    "#f0e6d2", "#d9e8f5", "#e3dcf0", "#f5dfe4", "#d8edd8", "#eeeeee")  # fmt: skip
LAYERS = [  # from below: name, what it knows, colour
    ("shape", "extents and formulas", SHAPE),
    (
        "cpu/isa: leaf kernels",
        "tiles, Winograd, pools and gradients: generic | AVX2 | AVX-512 from one source",
        KERNELS,
    ),
    ("cpu: drivers", "path lists, packing, cache blocking, threads", KERNELS),
    ("bindings", "pybind11: checked buffers; GIL; kept filters", BINDINGS),
    ("ops", "torch.ops.fastconv.*, and the plain calls behind them", PYTHON),
    ("autograd", "Functions closed under differentiation; jvp, vmap; compiled twins", PYTHON),
    ("eager", "plans of plain calls; which host answers for torch", PYTHON),
    ("functional", "signatures of torch.nn.functional; hand-over to torch", PYTHON),
    ("modules", "Conv2d, MaxPool2d, ... : torch.nn with only the computation replaced", PYTHON),
    ("cli, train, plots, data, models", "users of the layers below", USERS),
]
ROW = {name: row + 0.5 for row, (name, _, _) in enumerate(LAYERS)}  # middles
BINDINGS_ROW = int(ROW["bindings"])
PLAIN, WATCHED, LINE = "#1b6ca8", "#a85b1b", "#777777"


def box(
    axes: Axes, row: int, left: float, right: float, name: str, knows: str, colour: str
) -> None:
    size = (right - left, 0.74)
    style = {"boxstyle": "round,pad=0.04", "facecolor": colour, "edgecolor": "#666"}
    axes.add_patch(FancyBboxPatch((left, row + 0.12), *size, **style))
    axes.text(left + 0.2, row + 0.64, name, weight="bold", va="center", fontsize=11)
    axes.text(left + 0.2, row + 0.32, knows, va="center", fontsize=9, color="#333")


def arrow(axes: Axes, start: tuple, end: tuple, colour: str, style: str = "-|>") -> None:
    look = {"arrowstyle": style, "mutation_scale": 14, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(FancyArrowPatch(start, end, color=colour, **look))


def way(axes: Axes, x: float, names: list[str], colour: str) -> None:
    """Arrows from layer to layer, with gaps between them."""
    for above, below in zip(names, names[1:], strict=False):
        arrow(axes, (x, ROW[above] - 0.08), (x, ROW[below] + 0.08), colour)


def main() -> None:
    matplotlib.rcParams["svg.hashsalt"] = "fastconv"  # the same file every time
    figure, axes = plt.subplots(figsize=(10.8, 7.0))
    axes.set(xlim=(0, 12.4), ylim=(-0.1, len(LAYERS) + 0.1))
    axes.axis("off")
    for row, (name, knows, colour) in enumerate(LAYERS):
        right = SPLIT - GAP if name == "bindings" else RIGHT
        box(axes, row, LEFT, right, name, knows, colour)
    told = ("torch host: fastconv._torch", "optional: tensors, nodes of the graph")
    box(axes, BINDINGS_ROW, SPLIT + GAP, RIGHT, *told, HOST)
    ends = ((SPLIT + side * (GAP - 0.07), ROW["bindings"]) for side in (-1, 1))
    arrow(axes, *ends, PLAIN, "<|-|>")

    down = ["functional", "eager", "bindings", "cpu: drivers", "cpu/isa: leaf kernels"]
    way(axes, RIGHT + 0.3, down, PLAIN)
    plain = "plain call:\none C call,\ngradient\nincluded"
    axes.text(RIGHT + 0.45, ROW["autograd"], plain, fontsize=9, color=PLAIN, va="center")
    way(axes, LEFT - 0.3, ["functional", "autograd", "ops", "bindings"], WATCHED)
    watched = "watched,\nor not plain"
    axes.text(0.05, ROW["eager"], watched, fontsize=9, color=WATCHED, va="center")

    above, below = BINDINGS_ROW + 1, BINDINGS_ROW
    axes.plot([0.05, SPLIT, SPLIT, 12.3], [above, above, below, below], color=LINE, ls="--", lw=1)
    for x, y in ((0.05, above), (RIGHT + 0.7, below)):
        axes.text(x, y + 0.14, "torch", fontsize=9, color=LINE, va="center")
        axes.text(x, y - 0.16, "no torch", fontsize=9, color=LINE, va="center")
    out = Path(__file__).with_name("architecture.svg")
    figure.savefig(out, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
