"""Draws docs/architecture.svg: the rooms of the house, and the way of a call through them.

python docs/architecture_picture.py
"""

from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

USERS, PYTHON, BINDINGS, RUNTIME, CPU, CORE, CUDA = (
    "#f0e6d2", "#d9e8f5", "#e3dcf0", "#f5dfe4", "#d8edd8", "#eeeeee", "#dcefe9")  # fmt: skip
LEFT, RIGHT, SPLIT = 1.8, 12.2, 7.9  # of the house; between its two lower halves
GAP = 0.12  # between rooms


class Room(NamedTuple):
    """A box: its row (from below) and how many rows it is high, its sides, name and contents."""

    row: float
    left: float
    right: float
    name: str
    knows: str
    colour: str
    height: float = 1


ROOMS = [
    Room(9, LEFT, RIGHT, "fastconv/{models, data, train, plots, cli}",
         "the application: uses the public names alone", USERS),
    Room(8, LEFT, RIGHT, "fastconv/{functional, modules, flags, explain, info}",
         "what users import; calls that kernels do not support fall back to torch", PYTHON),
    Room(7, LEFT, RIGHT, "fastconv/core/",
         "operators and their registration, autograd, fakes, arguments, plain calls", PYTHON),
    Room(6, LEFT, SPLIT, "csrc/bindings/",
         "pybind11: checked addresses, GIL, call plans", BINDINGS),
    Room(6, SPLIT, RIGHT, "csrc/torch/, optional",
         "tensors and graph by torch's C++ API", BINDINGS),
    Room(5, LEFT, RIGHT, "csrc/runtime/",
         "chooses and runs a path; workspace, cached filters, switches, explanations", RUNTIME),
    Room(4, LEFT, SPLIT, "csrc/cpu/paths/", "three ordered lists, nothing else", CPU),
    Room(2, LEFT, SPLIT, "csrc/cpu/<family>/",
         "depthwise, direct, gemm, grouped, winograd, pool, reference:\n"
         "drivers (*.cpp), leaf kernels (*.inl), table.h,\n"
         "a file for each instruction set", CPU, height=2),
    Room(1, LEFT, SPLIT, "csrc/cpu/simd/, csrc/cpu/common/",
         "vectors; threads, workspace, instruction set", CPU),
    Room(4, SPLIT, RIGHT, "csrc/cuda/{paths, bindings}/", "launchers for Python", CUDA),
    Room(2, SPLIT, RIGHT, "csrc/cuda/<family>/",
         "depthwise, gemm, pool: kernels, and\nlaunchers that take a stream", CUDA, height=2),
    Room(1, SPLIT, RIGHT, "csrc/cuda/{common, simt}/",
         "shared parts; runs on a CPU in tests", CUDA),
    Room(0, LEFT, RIGHT, "csrc/core/",
         "shapes and formulas, element types, buffers, the contract of a path", CORE),
]  # fmt: skip
PLAIN, WATCHED, BOTH, LINE, CHOICE = "#1b6ca8", "#a85b1b", "#333333", "#777777", "#8a2b52"
# Where a choice is made: top of the room, its right side, and words.
CHOICES = [
    (8, RIGHT, "choice 1: device"),
    (7, SPLIT, "choice 2: element type"),
    (5, SPLIT, "choice 3: shape"),
    (4, SPLIT, "choice 4: instruction set"),
]


def draw(axes: Axes, room: Room) -> None:
    width, height = room.right - room.left - GAP, room.height - 0.22
    style = {"facecolor": room.colour, "edgecolor": "#666"}
    corner = (room.left + GAP / 2, room.row + 0.11)
    box = FancyBboxPatch(corner, width, height, boxstyle="round,pad=0.03", **style)
    axes.add_patch(box)
    top, x = room.row + room.height, room.left + 0.22
    axes.text(x, top - 0.33, room.name, weight="bold", va="center", fontsize=10.5)
    axes.text(x, top - 0.53, room.knows, va="top", fontsize=8.8, color="#333", linespacing=1.5)


def way(axes: Axes, x: float, rows: list[float], colour: str) -> None:
    """Arrows from row to row, downwards."""
    look = {"arrowstyle": "-|>", "mutation_scale": 13, "lw": 1.6, "shrinkA": 0, "shrinkB": 0}
    for above, below in zip(rows, rows[1:], strict=False):
        ends = (x, above + 0.42), (x, below + 0.58)
        axes.add_patch(FancyArrowPatch(*ends, color=colour, **look))


def main() -> None:
    matplotlib.rcParams["svg.hashsalt"] = "fastconv"  # the same file every time
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    matplotlib.rcParams["font.family"] = ["DejaVu Sans", "sans-serif"]
    figure, axes = plt.subplots(figsize=(11.4, 8.0))
    axes.set(xlim=(-0.1, 14.5), ylim=(-0.1, 10.1))
    axes.axis("off")
    for room in ROOMS:
        draw(axes, room)
    for top, right, words in CHOICES:
        look = {"fontsize": 8.8, "color": CHOICE, "weight": "bold", "ha": "right", "va": "center"}
        axes.text(right - 0.22, top - 0.33, words, **look)

    way(axes, RIGHT + 0.3, [8, 7, 6, 5], PLAIN)
    words = "plain call:\none C call after\nfunctional, its\ngradient included"
    axes.text(RIGHT + 0.5, 7.75, words, fontsize=8.8, color=PLAIN, va="center")
    way(axes, LEFT - 0.3, [8, 7, 6, 5], WATCHED)
    words = "watched, or\nnot plain: by\ntorch.ops.\nfastconv.*"
    axes.text(LEFT - 0.5, 7.75, words, fontsize=8.8, color=WATCHED, va="center", ha="right")
    way(axes, LEFT - 0.3, [5, 4, 2.5, 1], BOTH)
    axes.text(LEFT - 0.5, 3.5, "every call", fontsize=8.8, color=BOTH, va="center", ha="right")

    axes.plot([0, SPLIT, SPLIT, 14.4], [7, 7, 6, 6], color=LINE, ls=":", lw=1.2)
    for x, y, side in ((0, 7, "left"), (14.4, 6, "right")):
        look = {"fontsize": 8.8, "color": LINE, "va": "center", "ha": side}
        axes.text(x, y + 0.16, "torch", **look)
        axes.text(x, y - 0.16, "no torch", **look)
    out = Path(__file__).with_name("architecture.svg")
    figure.savefig(out, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
