"""Pictures of a run: curves of loss and accuracy, and the confusion matrix.

Layer: beside train.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import torch
from matplotlib.ticker import MaxNLocator, PercentFormatter
from torch import nn

from fastconv.plots.canvas import BLUE, NAME, VERMILION, new_figure, write
from fastconv.plots.layers import features, filters
from fastconv.train import LAYER_NAMES, EpochResult, Trainer
from fastconv.train.evaluate import accuracy, class_accuracies

# torch.nn is wide and drawn first, for the curves of the two usually coincide.
STYLES = {
    "torch": {"color": VERMILION, "linewidth": 5, "alpha": 0.45, "marker": "o", "markersize": 8},
    "fastconv": {"color": BLUE, "linewidth": 1.6, "marker": "o", "markersize": 3.5},
}
STEP_STYLES = {
    "torch": {"color": VERMILION, "linewidth": 2.5, "alpha": 0.25},
    "fastconv": {"color": BLUE, "linewidth": 0.7, "alpha": 0.6},
}
CURVE_POINTS = 200  # of a curve over steps; each is the mean of as many steps as it takes
NAMED_CLASSES = 20  # up to here a confusion matrix has names and numbers
DRAWN_LAYERS = 8  # convolutions whose filters and maps fit into one picture


def draw(trainer: Trainer) -> None:
    """Write the pictures of a run into its folder: curves.png, confusion.png and, of nets with
    1 to 8 convolutions, filters.png and features.png of its first layer set.

    Raises:
        WriteError: a picture cannot be written.
    """
    layers, learner = next(iter(trainer.learners.items()))
    dataset = trainer.dataset
    run = f"{trainer.config.model} on {dataset.name}"
    mine = f"{run}, {LAYER_NAMES[layers]} layers"
    losses = {name: learner.steps[:, 0] for name, learner in trainer.learners.items()}
    curves(
        trainer.history,
        run,
        trainer.out / "curves.png",
        steps={name: (loss, trainer.steps_per_epoch) for name, loss in losses.items()},
        loss_name=trainer.config.loss,
    )
    matrices = {LAYER_NAMES[n]: learner.confusion for n, learner in trainer.learners.items()}
    confusion(matrices, dataset.classes, f"Test images of {run}", trainer.out / "confusion.png")
    model = learner.model
    if not 1 <= sum(isinstance(m, nn.Conv2d) for m in model.modules()) <= DRAWN_LAYERS:
        return
    if trainer.place.device.type != "cpu":
        model = deepcopy(model).cpu()
    filters(model, f"Learned filters of {mine}", trainer.out / "filters.png")
    features(
        model,
        dataset.normalize(dataset.test.images[torch.tensor([0])])[0],
        dataset.classes,
        f"One test image through {mine}",
        trainer.out / "features.png",
    )


def curves(
    history: Sequence[EpochResult],
    title: str,
    path: Path,
    *,
    steps: Mapping[str, tuple[torch.Tensor, int]] | None = None,
    loss_name: str = "cross-entropy",
) -> None:
    """Training loss and test accuracy over the epochs, one line per layer set, as a PNG.

    Args:
        steps: per layer set the loss of every step, and how many steps an epoch has: thin lines,
            and the mean of an epoch in its middle.
    """
    figure = new_figure(10, 4.2, title)
    loss, accuracies = figure.subplots(1, 2)
    one_epoch = bool(steps) and history[-1].epoch == 1
    for layers, style in STYLES.items():
        results = [result for result in history if result.layers == layers]
        if not results:
            continue
        epochs = [result.epoch for result in results]
        name, last = LAYER_NAMES[layers], results[-1].test_accuracy
        middles = epochs
        if steps:
            losses, per_epoch = steps[layers]
            scale = per_epoch if one_epoch else 1
            ends, means = _thinned(losses, per_epoch / scale)
            loss.plot(ends, means, **STEP_STYLES[layers])
            # The last epoch may be cut short.
            middles = [(scale * (epoch - 1) + min(scale * epoch, ends[-1])) / 2 for epoch in epochs]
        loss.plot(middles, [result.train_loss for result in results], label=name, **style)
        accuracies.plot(
            epochs,
            [result.test_accuracy for result in results],
            label=f"{name}: {last:.2%} at the end",
            **style,
        )
    loss.set(title="Training loss", ylabel=f"{loss_name} (log scale)", yscale="log")
    accuracies.set(title="Test accuracy", ylabel="images classified correctly")
    accuracies.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    for axes, corner in ((loss, "upper right"), (accuracies, "lower right")):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(color="#dddddd", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc=corner, frameon=False)
    if one_epoch:
        loss.set_xlabel("step")
    write(figure, path)


def _thinned(losses: torch.Tensor, unit: float) -> tuple[list[float], list[float]]:
    """Steps / unit and losses of a curve: the means of so many steps that few points remain."""
    parts = losses.split(max(1, -(-len(losses) // CURVE_POINTS)))
    ends = torch.tensor([len(part) for part in parts]).cumsum(0) / unit
    return ends.tolist(), [part.mean().item() for part in parts]


def confusion(
    matrices: Mapping[str, torch.Tensor], classes: Sequence[str], title: str, path: Path
) -> None:
    """Confusion matrices side by side as a PNG: a row per class, coloured by its fractions.

    Shapes:
        matrices: name -> (classes, classes), int64: images of the row's class that the model
            takes for the column's
    """
    named = len(classes) <= NAMED_CLASSES
    side = 1.6 + max(3.0, 0.48 * len(classes) if named else 6.0)
    figure = new_figure(side * len(matrices) + 0.6, side, title)
    panels = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        share = matrix / matrix.sum(1, keepdim=True).clamp(min=1)
        shown = axes.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=1)
        axes.set(title=f"{name}: {accuracy(matrix):.2%}", xlabel="answer", ylabel="truth")
        if not named:
            continue
        axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", **NAME)
        right = class_accuracies(matrix)
        rows = [f"{label} {part:.1%}" for label, part in zip(classes, right, strict=True)]
        axes.set_yticks(range(len(classes)), rows, **NAME)
        for (row, column), count in zip(
            torch.cartesian_prod(*[torch.arange(len(classes))] * 2).tolist(),
            matrix.flatten().tolist(),
            strict=True,
        ):
            if count:
                ink = "white" if share[row, column] > 0.5 else "black"
                axes.text(column, row, f"{count}", ha="center", va="center", color=ink, fontsize=8)
    figure.colorbar(shown, ax=panels, fraction=0.03, label="part of the class")
    write(figure, path)
