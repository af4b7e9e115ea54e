"""The pictures of a run: curves, learned filters, feature maps.

Layer: beside train; matplotlib's Agg backend, without touching pyplot or its settings.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from torch import nn

from fastconv.files import write_atomically
from fastconv.train import LAYER_NAMES, EpochResult, Trainer

# Blue and vermilion of Okabe and Ito, told apart with any colour vision. torch.nn is wide and
# drawn first, for the curves of the two usually coincide.
STYLES = {
    "torch": {"color": "#D55E00", "linewidth": 5, "alpha": 0.45},
    "fastconv": {"color": "#0072B2", "linewidth": 1.6, "marker": "o", "markersize": 3.5},
}
INK = "#333333"
MAX_CHANNELS = 32  # shown per axis of a mosaic
DPI = 150


def draw(trainer: Trainer) -> None:
    """Write the pictures of a run into its folder: curves.png, filters.png, features.png.

    Filters and features are those of its first layer set.

    Raises:
        WriteError: a picture cannot be written.
    """
    layers, learner = next(iter(trainer.learners.items()))
    model, dataset = learner.model, trainer.dataset
    run = f"{type(model).__name__} on {dataset.name}"
    mine = f"{run}, {LAYER_NAMES[layers]} layers"
    curves(trainer.history, run, trainer.out / "curves.png")
    filters(model, f"Learned filters of {mine}", trainer.out / "filters.png")
    features(
        model,
        dataset.test_images[0],
        dataset.classes,
        f"One test image through {mine}",
        trainer.out / "features.png",
    )


def curves(history: Sequence[EpochResult], title: str, path: Path) -> None:
    """Training loss and test accuracy over the epochs, one line per layer set, as a PNG."""
    figure = _figure(10, 4.2, title)
    loss, accuracy = figure.subplots(1, 2)
    for layers, style in STYLES.items():
        results = [result for result in history if result.layers == layers]
        if not results:
            continue
        epochs = [result.epoch for result in results]
        name, last = LAYER_NAMES[layers], results[-1].test_accuracy
        loss.plot(epochs, [result.train_loss for result in results], label=name, **style)
        accuracy.plot(
            epochs,
            [result.test_accuracy for result in results],
            label=f"{name}: {last:.2%} at the end",
            **style,
        )
    loss.set(title="Training loss", ylabel="cross-entropy (log scale)", yscale="log")
    accuracy.set(title="Test accuracy", ylabel="images classified correctly")
    accuracy.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    for axes, corner in ((loss, "upper right"), (accuracy, "lower right")):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color="#dddddd", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc=corner, frameon=False)
    _write(figure, path)


def filters(model: nn.Module, title: str, path: Path) -> None:
    """The weights of every convolution of ``model``, a column per output channel, as a PNG."""
    convs = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    grids = []
    for conv in convs.values():
        weight = conv.weight.detach()[:MAX_CHANNELS, :MAX_CHANNELS]
        grids.append(mosaic(weight.transpose(0, 1).flatten(0, 1), columns=weight.shape[0]))
    heights = [8.7 * grid.shape[0] / grid.shape[1] for grid in grids]
    figure = _figure(10, sum(heights) + 0.5 * (len(convs) + 1), title)
    panels = figure.subplots(len(convs), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, grid, (name, conv) in zip(panels, grids, convs.items(), strict=True):
        limit = conv.weight.abs().max().item() or 1.0
        shown = axes.imshow(grid.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        _bare(axes)
        OC, IC, KH, KW = conv.weight.shape
        axes.set_title(f"{name}: {OC} filters of {IC} x {KH} x {KW}")
        axes.set_xlabel("output channel")
        axes.set_ylabel("input channel" if IC > 1 else None)
        bar = figure.colorbar(shown, ax=axes, pad=0.01, fraction=0.03, label="weight")
        bar.locator = MaxNLocator(nbins=5)
    _write(figure, path)


def features(
    model: nn.Module, image: torch.Tensor, classes: Sequence[str], title: str, path: Path
) -> None:
    """``image`` (IC, IH, IW), what each layer makes of it, and the answer, as a PNG."""
    steps, logits = _feature_maps(model, image)
    steps.insert(0, ("input", image))
    columns = min(4, len(steps) + 1)
    rows = math.ceil((len(steps) + 1) / columns)
    figure = _figure(3.2 * columns, 0.6 + 3.4 * rows, title)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, (name, maps) in zip(panels, steps, strict=False):
        maps = maps[:MAX_CHANNELS]
        grid = mosaic(maps, columns=math.ceil(math.sqrt(len(maps))))
        axes.imshow(grid.numpy(), cmap="gray" if name == "input" else "viridis")
        _bare(axes)
        axes.set_title(name)
    answer = panels[len(steps)]
    probabilities = logits.softmax(0).tolist()
    best = probabilities.index(max(probabilities))
    bars = answer.bar(classes, probabilities, color="#bbbbbb")
    bars[best].set_color(STYLES["fastconv"]["color"])
    answer.bar_label(bars, [f"{p:.1%}" if p == probabilities[best] else "" for p in probabilities])
    answer.set(title=f"answer: {classes[best]}", ylim=(0, 1.08), yticks=[], box_aspect=1)
    answer.spines[["top", "left", "right"]].set_visible(False)
    for axes in panels[len(steps) + 1 :]:
        axes.set_axis_off()
    _write(figure, path)


@torch.no_grad()
def _feature_maps(
    model: nn.Module, image: torch.Tensor
) -> tuple[list[tuple[str, torch.Tensor]], torch.Tensor]:
    """Title and output (OC, OH, OW) of every layer that yields an image, and the logits."""
    steps = []

    def record(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if output.dim() == 4:
            OC, OH, OW = output.shape[1:]
            steps.append((f"{type(layer).__name__}: {OC} maps {OH} x {OW}", output[0]))

    leaves = [layer for layer in model.modules() if not any(layer.children())]
    hooks = [layer.register_forward_hook(record) for layer in leaves]
    was_training = model.training
    try:
        logits = model.eval()(image.unsqueeze(0))[0]
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return steps, logits


def mosaic(tiles: torch.Tensor, columns: int) -> torch.Tensor:
    """Tiles (N, H, W) side by side in rows of ``columns``, with gaps of NaN between them."""
    N, H, W = tiles.shape
    rows = math.ceil(N / columns)
    gap = max(1, round(min(H, W) / 10))
    grid = torch.full((rows * (H + gap) - gap, columns * (W + gap) - gap), math.nan)
    for n in range(N):
        top, left = n // columns * (H + gap), n % columns * (W + gap)
        grid[top : top + H, left : left + W] = tiles[n]
    return grid


def _bare(axes: Axes) -> None:
    """An image without a frame or ticks."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _figure(width: float, height: float, title: str) -> Figure:
    """A figure of so many inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    figure.suptitle(title, fontsize=14, fontweight="bold", color=INK)
    return figure


def _write(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=DPI)
    write_atomically(path, buffer.getvalue())
