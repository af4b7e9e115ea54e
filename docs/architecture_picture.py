"""Draws docs/architecture.svg: the layers, and the way of a call through them.

python docs/architecture_picture.py
"""

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

LAYERS = [  # from the top: name, files, what it knows, colour
    ("cli, train, plots, data, models", "users of the layers below", "#f0e6d2"),
    ("modules", "Conv2d, MaxPool2d, ... : torch.nn with only the computation replaced", "#d9e8f5"),
    ("functional", "signatures of torch.nn.functional; plans; hand-over to torch", "#d9e8f5"),
    ("autograd", "Functions closed under differentiation; jvp, vmap; compiled twins", "#d9e8f5"),
    ("ops", "torch.ops.fastconv.*, and the plain calls behind them", "#d9e8f5"),
    ("bindings", "pybind11: addresses and counts, checked; GIL released", "#e3dcf0"),
    ("cpu: drivers", "path lists, packing, cache blocking, threads", "#d8edd8"),
    (
        "cpu/isa: leaf kernels",
        "register tiles: generic | AVX2 | AVX-512 from one source",
        "#d8edd8",
    ),
    ("shape", "extents and formulas", "#eeeeee"),
]


def main() -> None:
    figure, axes = plt.subplots(figsize=(9.6, 6.4))
    axes.set(xlim=(0, 10), ylim=(-0.2, len(LAYERS) + 0.2))
    axes.axis("off")
    for i, (name, knows, colour) in enumerate(reversed(LAYERS)):
        box = FancyBboxPatch(
            (1.3, i + 0.12),
            7.4,
            0.74,
            boxstyle="round,pad=0.04",
            facecolor=colour,
            edgecolor="#666",
        )
        axes.add_patch(box)
        axes.text(1.5, i + 0.62, name, weight="bold", va="center", fontsize=11)
        axes.text(1.5, i + 0.32, knows, va="center", fontsize=9, color="#333")
    arrows = [
        (9.0, 6.5, 3.5, "ordinary call:\nstraight to\nthe kernel", "#1b6ca8"),
        (9.0, 3.4, 2.5, "", "#1b6ca8"),
        (9.0, 2.4, 1.5, "", "#1b6ca8"),
    ]
    for x, start, end, text, colour in arrows:
        style = {"arrowstyle": "-|>", "mutation_scale": 14, "color": colour, "linewidth": 1.6}
        axes.add_patch(FancyArrowPatch((x, start), (x, end), **style))
        axes.text(x + 0.1, (start + end) / 2, text, fontsize=9, color=colour, va="center")
    watched = {"arrowstyle": "-|>", "mutation_scale": 14, "color": "#a85b1b", "linewidth": 1.6}
    for start, end in ((6.5, 5.5), (5.4, 4.5), (4.4, 3.5)):
        axes.add_patch(FancyArrowPatch((1.0, start), (1.0, end), **watched))
    axes.text(0.05, 5.0, "watched\nor with\ngradients", fontsize=9, color="#a85b1b", va="center")
    axes.plot([0.2, 9.8], [4.0, 4.0], color="#999", linestyle="--", linewidth=1)
    axes.text(0.05, 4.12, "torch", fontsize=9, color="#777")
    axes.text(0.05, 3.78, "no torch", fontsize=9, color="#777")
    out = Path(__file__).with_name("architecture.svg")
    figure.savefig(out, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
