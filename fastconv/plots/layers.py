"""Pictures of the inside of a model: learned filters, each layer's output, and the answer.

Layer: beside train.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from torch import nn

from fastconv.plots.canvas import BLUE, GREY, INK, NAME, SIGNED, bare, new_figure, write

MAX_CHANNELS = 32  # shown per axis of a mosaic
BARS = 10  # classes with a bar in the answer
COLOURS = "blue: below 0, white: 0, red: above 0; where nothing is below 0, from dark to yellow"
MAX_NAME = 16  # letters of a class's name
MAX_TILE = 1.45  # inches of a filter of one channel
PAGE_WIDTH = 6.2  # inches of each of the two mosaics on a page


def filters(model: nn.Module, title: str, path: Path, channels: int = MAX_CHANNELS) -> None:
    """The weights of every convolution of ``model``, a column per output channel, as a PNG."""
    convs = convolutions(model)
    grids = [_filter_grid(conv, channels) for conv in convs.values()]
    heights = [
        max(0.9, min(8.7 * grid.shape[0] / grid.shape[1], MAX_TILE * conv.weight.shape[1], 10))
        for grid, conv in zip(grids, convs.values(), strict=True)
    ]
    figure = new_figure(10, sum(heights) + 0.6 * (len(convs) + 1), title)
    panels = figure.subplots(len(convs), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, grid, (name, conv) in zip(panels, grids, convs.items(), strict=True):
        _draw_filters(axes, grid, name, conv, channels)
    write(figure, path)


def convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    """The 2-D convolutions of ``model`` by name."""
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}


def features(
    model: nn.Module,
    image: torch.Tensor,
    classes: Sequence[str],
    title: str,
    path: Path,
    channels: int = MAX_CHANNELS,
) -> None:
    """``image`` (IC, IH, IW), what each layer makes of it, and the answer, as a PNG."""
    steps, logits = _record(model, image, nn.Module, channels)
    columns = min(4, len(steps) + 2)
    rows = math.ceil((len(steps) + 2) / columns)
    figure = new_figure(3.4 * columns, 0.6 + 3.4 * rows, title)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    _draw_input(panels[0], image)
    for axes, (_, layer, size, maps) in zip(panels[1:], steps, strict=False):
        _draw_maps(axes, maps)
        axes.set_title(f"{type(layer).__name__}: {_count(maps, size)}")
    _draw_answer(panels[len(steps) + 1], logits, classes)
    for axes in panels[len(steps) + 2 :]:
        axes.set_axis_off()
    figure.supxlabel(COLOURS, fontsize=9, color=INK)
    write(figure, path)


def pages(
    model: nn.Module,
    image: torch.Tensor,
    classes: Sequence[str],
    title: str,
    folder: Path,
    channels: int = MAX_CHANNELS,
) -> list[Path]:
    """``image`` and the answer, then a page per convolution: its filters and what comes out of it.

    Returns:
        the files: answer.png, 01-NAME.png, 02-NAME.png, ... in the order of the calls
    """
    steps, logits = _record(model, image, nn.Conv2d, channels)
    paths = [folder / "answer.png"]
    figure = new_figure(8, 4.2, title)
    left, right = figure.subplots(1, 2)
    _draw_input(left, image)
    _draw_answer(right, logits, classes)
    write(figure, paths[0])
    digits = max(2, len(str(len(steps))))
    for number, (name, conv, size, maps) in enumerate(steps, 1):
        figure = new_figure(2 * PAGE_WIDTH + 0.8, PAGE_WIDTH + 1.2, f"{title}: {name}")
        left, right = figure.subplots(1, 2)
        _draw_filters(left, _folded_filter_grid(conv, channels), "weights", conv, channels)
        _draw_maps(right, maps)
        right.set_title(f"output: {_count(maps, size)}")
        paths.append(folder / f"{number:0{digits}}-{name}.png")
        write(figure, paths[-1])
    return paths


@torch.no_grad()
def _record(
    model: nn.Module, image: torch.Tensor, kind: type[nn.Module], channels: int
) -> tuple[list[tuple[str, nn.Module, torch.Size, torch.Tensor]], torch.Tensor]:
    """The layers of ``kind`` that yield an image, in the order of their calls, and the logits.

    Each with its name, the size (OC, OH, OW) of its output, and the first ``channels`` maps of it.
    """
    steps = []
    names = {layer: name for name, layer in model.named_modules()}

    def record(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if output.dim() == 4:
            maps = output[0, :channels].float().clone()  # a layer in place may follow
            steps.append((names[layer], layer, output.shape[1:], maps))

    leaves = [m for m in model.modules() if isinstance(m, kind) and not any(m.children())]
    hooks = [layer.register_forward_hook(record) for layer in leaves]
    was_training = model.training
    try:
        logits = model.eval()(image.unsqueeze(0))[0]
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return steps, logits


def mosaic(tiles: torch.Tensor, columns: int, gap: int | None = None) -> torch.Tensor:
    """Tiles (N, H, W) side by side in rows of ``columns``, with gaps of NaN between them.

    By default a gap is a tenth of a tile, at least 1; none between tiles of a single number.
    """
    N, H, W = tiles.shape
    rows = math.ceil(N / columns)
    if gap is None:
        gap = 0 if H == W == 1 else max(1, round(min(H, W) / 10))
    grid = torch.full((rows * (H + gap) - gap, columns * (W + gap) - gap), math.nan)
    for n in range(N):
        top, left = n // columns * (H + gap), n % columns * (W + gap)
        grid[top : top + H, left : left + W] = tiles[n]
    return grid


def _filter_grid(conv: nn.Conv2d, channels: int) -> torch.Tensor:
    """A column per output channel, a row per input channel."""
    weight = conv.weight.detach()[:channels, :channels].float()
    return mosaic(weight.transpose(0, 1).flatten(0, 1), columns=weight.shape[0])


def _folded_filter_grid(conv: nn.Conv2d, channels: int) -> torch.Tensor:
    """The same in several rows where there are few input channels: about as wide as high."""
    weight = conv.weight.detach()[:channels, :channels].float()
    OC, IC, KH, KW = weight.shape
    columns = math.ceil(math.sqrt(OC * IC))
    if columns >= OC:
        return _filter_grid(conv, channels)
    filters = torch.stack([mosaic(one, columns=1) for one in weight])
    return mosaic(filters, columns, gap=max(1, round(min(KH, KW) / 3)))


def _draw_filters(
    axes: Axes, grid: torch.Tensor, name: str, conv: nn.Conv2d, channels: int
) -> None:
    """``grid`` of ``conv``, each weight coloured by its sign."""
    OC, IC, KH, KW = conv.weight.shape
    title = f"{name}: {OC} filters of {IC} x {KH} x {KW}"
    if max(OC, IC) > channels:
        title = f"{title}, {min(OC, channels)} x {min(IC, channels)} shown"
    bar = axes.figure.colorbar(_draw_signed(axes, grid), ax=axes, pad=0.01, fraction=0.03)
    bar.set_label("weight")
    bar.locator = MaxNLocator(nbins=4)
    axes.set(title=title, xlabel="output channel", ylabel="input channel" if IC > 1 else None)


def _draw_signed(axes: Axes, grid: torch.Tensor) -> AxesImage:
    """Numbers around 0, white at 0."""
    limit = grid.abs().nan_to_num().max().item() or 1.0
    shown = axes.imshow(
        grid.numpy(), cmap=SIGNED, vmin=-limit, vmax=limit, interpolation_stage="data"
    )
    bare(axes)
    return shown


def _count(maps: torch.Tensor, size: torch.Size) -> str:
    """How many maps of which size, ``maps`` being those that are shown of ``size`` (OC, OH, OW)."""
    OC, OH, OW = size
    return f"{OC if len(maps) == OC else f'{len(maps)} of {OC}'} maps {OH} x {OW}"


def _draw_maps(axes: Axes, maps: torch.Tensor) -> None:
    """Maps (N, H, W): white at 0 if there are negative ones, else dark at 0."""
    grid = mosaic(maps, columns=math.ceil(math.sqrt(len(maps))))
    if maps.min() < 0:
        _draw_signed(axes, grid)
    else:
        axes.imshow(grid.numpy(), cmap="viridis", vmin=0, interpolation_stage="data")
        bare(axes)


def _draw_input(axes: Axes, image: torch.Tensor) -> None:
    """A normalised image (IC, IH, IW), darkest black and brightest white; three channels as RGB."""
    low, high = image.min(), image.max()
    shown = (image - low) / (high - low).clamp(min=1e-6)
    planes = shown.permute(1, 2, 0) if len(image) == 3 else mosaic(shown, columns=len(shown))
    axes.imshow(planes.numpy(), cmap="gray", vmin=0, vmax=1)
    bare(axes)
    axes.set_title(f"input: {' x '.join(map(str, image.shape))}")


def _draw_answer(axes: Axes, logits: torch.Tensor, classes: Sequence[str]) -> None:
    """Bars of the most probable classes, in the order of the classes."""
    probabilities = logits.softmax(0)
    top = probabilities.topk(min(BARS, len(classes))).indices.sort().values.tolist()
    best = probabilities.argmax().item()
    bars = axes.barh(range(len(top)), probabilities[top].tolist(), color=GREY)
    bars[top.index(best)].set_color(BLUE)
    axes.bar_label(bars, [f"{probabilities[label]:.1%}" for label in top], padding=3, fontsize=9)
    # Names within the axes: outside they would push the neighbours aside.
    for row, label in enumerate(top):
        name = classes[label]
        short = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 2]}.."
        axes.text(-0.04, row, short, ha="right", va="center", fontsize=9, **NAME)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.invert_yaxis()
    axes.set_title(f"answer: {classes[best]}", **NAME)
    axes.set(xlim=(-0.85, 1.35), box_aspect=1)
    bare(axes)
