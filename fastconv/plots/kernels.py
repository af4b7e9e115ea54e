"""What a kernel does to a picture: input, kernel and output side by side.

Layer: beside train.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from fastconv.plots.bands import View
from fastconv.plots.canvas import DPI, GREY, SIGNED, bare, new_figure, write
from fastconv.plots.picture_kernels import Kernel

WIDTH = 4.2  # inches of a picture
KERNEL_WIDTH = 3.0
MIN_HEIGHT, MAX_HEIGHT = 2.0, 6.0  # inches of a row
SHARE = 0.98  # of the pixels keep their colours apart; the few beyond are drawn as the limit


def longest_side(dpi: int) -> int:
    """Dots that an input or an output of ``kernels`` is high or wide at most."""
    return round(max(WIDTH, MAX_HEIGHT) * dpi)


def kernels(
    image: View,
    outputs: Sequence[tuple[Kernel, View]],
    title: str,
    path: Path,
    dpi: int = DPI,
) -> None:
    """``image`` on the left, and a row of kernel and output for each of ``outputs``, as a PNG.

    Outputs of kernels that keep the brightness are shown as pictures, others in false colours
    (the mean over the channels), white at 0. A pixel of the output is as large as one of the input.

    Raises:
        WriteError: the picture cannot be written.
    """
    height = min(max(WIDTH * image.shape[1] / image.shape[2], MIN_HEIGHT), MAX_HEIGHT)
    rows = len(outputs)
    widths = (WIDTH, min(KERNEL_WIDTH, height), WIDTH, 0.15)
    figure = new_figure(sum(widths) + 1.2, 0.7 + rows * (height + 0.45), title)
    grid = figure.add_gridspec(rows, 4, width_ratios=widths)
    left = figure.add_subplot(grid[0, 0])
    _draw_picture(left, image.pixels)
    left.set_title(f"input: {_extents(image)}")
    drawn = [(left, image.shape)]
    for row, (kernel, output) in enumerate(outputs):
        middle, right, scale = (figure.add_subplot(grid[row, column]) for column in (1, 2, 3))
        _draw_kernel(middle, kernel)
        _draw_output(right, scale, kernel, output)
        drawn.append((right, output.shape))
    _draw_at_one_scale(drawn)
    write(figure, path, dpi)


def _draw_at_one_scale(drawn: Sequence[tuple[Axes, Sequence[int]]]) -> None:
    """Gives the axes of pictures of (C, H, W) the same limits, those of the largest; a frame shows
    them around a smaller one.
    """
    height, width = (max(shape[axis] for _, shape in drawn) for axis in (1, 2))
    for axes, (_, H, W) in drawn:
        left, top = (W - width) / 2, (H - height) / 2
        axes.images[0].set_extent((0, W, H, 0))
        axes.set(xlim=(left, left + width), ylim=(top + height, top))
        if (H, W) != (height, width):
            frame = {"fill": False, "ec": GREY, "lw": 1, "clip_on": False}
            axes.add_patch(Rectangle((left, top), width, height, **frame))


def _extents(image: View) -> str:
    C, H, W = image.shape
    return f"{H} x {W}" if C == 1 else f"{C} x {H} x {W}"


def _draw_picture(axes: Axes, pixels: torch.Tensor) -> None:
    axes.imshow(pixels.clamp(0, 1).permute(1, 2, 0).numpy(), cmap="gray", vmin=0, vmax=1)
    bare(axes)


def _draw_kernel(axes: Axes, kernel: Kernel) -> None:
    K, KH, KW = kernel.weight.shape
    weight = torch.cat([*kernel.weight], 1)
    limit = weight.abs().max().item() or 1.0
    low, high = weight.min().item(), weight.max().item()
    if low == high:
        limit *= 2  # a colour that leaves cells and words to be seen
    axes.imshow(weight.numpy(), cmap=SIGNED, vmin=-limit, vmax=limit)
    bare(axes)
    axes.set_title(f"{kernel.name}: {KH} x {KW}" + (f" and {KH} x {KW}" if K > 1 else ""))
    for k in range(1, K):
        axes.axvline(k * KW - 0.5, color="white", linewidth=6)
    words = [[f"{value:.2g}" for value in row] for row in weight.tolist()]
    longest = max(len(word) for row in words for word in row)
    cell = 72 * 0.8 * min(KERNEL_WIDTH / (K * KW), WIDTH * 0.6 / KH)  # points
    size = min(11, cell / (0.6 * longest))  # a digit is about 0.6 as wide as high
    if size < 5:
        if low == high:
            _draw_cells(axes, K * KW, KH, cell)
            axes.text(0.5, 0.5, f"all {KH * KW}:\n{low:.3g}", ha="center", va="center", fontsize=11,
                      transform=axes.transAxes, bbox={"fc": "white", "ec": "none"})  # fmt: skip
        else:
            axes.set_xlabel(f"{low:.2g} .. {high:.2g}")
        return
    for kh, row in enumerate(words):
        for kw, word in enumerate(row):
            ink = "white" if abs(weight[kh, kw]) > 0.6 * limit else "black"
            axes.text(kw, kh, word, ha="center", va="center", color=ink, fontsize=size)


def _draw_cells(axes: Axes, columns: int, rows: int, cell: float) -> None:
    """Lines between cells of so many points, where those are large enough to be seen."""
    if cell > 4:
        lines = {"color": "white", "linewidth": 0.8}
        axes.vlines([at - 0.5 for at in range(1, columns)], -0.5, rows - 0.5, **lines)
        axes.hlines([at - 0.5 for at in range(1, rows)], -0.5, columns - 0.5, **lines)


def _draw_output(axes: Axes, scale: Axes, kernel: Kernel, output: View) -> None:
    title = f"output: {_extents(output)}"
    if kernel.is_picture:
        scale.set_axis_off()
        _draw_picture(axes, output.pixels)
        axes.set_title(f"{title}, {output.cut:.1%} cut to 0 .. 1" if output.cut > 0 else title)
        return
    (plane,) = output.pixels
    limit = _quantile(plane.abs()) or 1.0
    signed = bool(plane.min() < 0)
    colours = {"cmap": SIGNED, "vmin": -limit} if signed else {"cmap": "gray", "vmin": 0}
    # Nearest: thin lines of opposite sign would cancel where pixels are averaged.
    shown = axes.imshow(plane.numpy(), vmax=limit, interpolation="nearest", **colours)
    bare(axes)
    axes.set_title(f"{title}, mean over channels" if output.shape[0] > 1 else title)
    bar = axes.figure.colorbar(shown, cax=scale, extend="both" if signed else "max")
    bar.locator = MaxNLocator(nbins=5)


def _quantile(values: torch.Tensor) -> float:
    """The value below which ``SHARE`` of the values lie."""
    values = values.flatten()  # torch.quantile takes 16 million at most
    return values.kthvalue(max(1, round(SHARE * len(values)))).values.item()
