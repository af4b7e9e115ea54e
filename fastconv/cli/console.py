"""Reports a run on the terminal: a bar, a line per epoch, a table at the end.

Layer: beside train. It is an Observer of train and needs tqdm and tabulate.
"""

import statistics
import sys
import time
from collections.abc import Mapping, Sequence

import torch
from tabulate import tabulate
from tqdm import tqdm

from fastconv.train import LAYER_NAMES, EpochResult, Observer
from fastconv.train.evaluate import class_accuracies


class Console(Observer):
    """A bar over the run on stderr where that is a terminal, and a line per epoch on stdout.

    Args:
        epochs: of the whole run.
        steps: of all layer sets in the whole run.
        steps_done: before this start.
    """

    def __init__(self, epochs: int, steps: int, steps_done: int) -> None:
        self.epochs = epochs
        self.bar = tqdm(
            total=steps,
            initial=steps_done,
            disable=None,
            bar_format="{l_bar}{bar:20}| {elapsed}<{remaining}{postfix}",
            leave=False,
        )
        self.at: tuple[int, str] | None = None
        self.start = 0.0
        self.images = 0

    def batch(self, epoch: int, layers: str, images: int, loss: float, accuracy: float) -> None:
        if self.bar.disable:
            return
        if self.at != (epoch, layers):
            self.at, self.start, self.images = (epoch, layers), time.perf_counter(), 0
            self.bar.set_description(f"epoch {epoch}/{self.epochs} {LAYER_NAMES[layers]:8}", False)
        else:  # the first batch only starts the clock
            self.images += images
        speed = self.images / (time.perf_counter() - self.start)
        self.bar.set_postfix_str(f"loss {loss:.4f}, {accuracy:.1%}, {speed:,.0f} images/s", False)
        self.bar.update(1)

    def epoch(self, result: EpochResult) -> None:
        line = (
            f"epoch {result.epoch:>{len(str(self.epochs))}}/{self.epochs}"
            f"  {LAYER_NAMES[result.layers]:8}"
            f"  loss {result.train_loss:.4f}"
            f"  train {result.train_accuracy:7.2%}"
            f"  test {result.test_accuracy:7.2%}"
            f"  {result.seconds:7.3f} s"
            f"  {result.images_per_second:8,.0f} images/s"
        )
        self.bar.clear()
        print(line, flush=True)
        self.bar.refresh()

    def close(self) -> None:
        """Remove the bar."""
        self.bar.close()
        sys.stdout.flush()


def summary(history: Sequence[EpochResult]) -> str:
    """The table at the end of a run and, if both layer sets took part, how their times compare."""
    runs: dict[str, list[EpochResult]] = {}
    for result in history:
        runs.setdefault(result.layers, []).append(result)
    rows = [
        (
            LAYER_NAMES[layers],
            f"{results[-1].train_loss:.4f}",
            f"{results[-1].train_accuracy:.2%}",
            f"{results[-1].test_accuracy:.2%}",
            f"{sum(result.seconds for result in results):.1f}",
            f"{statistics.median(result.seconds for result in results):.3f}",
            f"{statistics.median(result.images_per_second for result in results):,.0f}",
        )
        for layers, results in runs.items()
    ]
    headers = (
        "layers",
        "train loss",
        "train accuracy",
        "test accuracy",
        "seconds",
        "seconds per epoch",
        "images per second",
    )
    sides = ("left", *["right"] * 6)
    table = tabulate(rows, headers, tablefmt="simple", colalign=sides, disable_numparse=True)
    if set(runs) != set(LAYER_NAMES):
        return table
    ratio, low, high = time_ratio(
        [result.seconds for result in runs["torch"]],
        [result.seconds for result in runs["fastconv"]],
    )
    return (
        f"{table}\n\ntraining time torch.nn / fastconv: {ratio:.2f} (medians over the epochs; "
        f"quartiles of the ratio epoch by epoch: {low:.2f} to {high:.2f})"
    )


def class_table(matrices: Mapping[str, torch.Tensor], classes: Sequence[str]) -> str:
    """Accuracy per class and what it is most often taken for, from confusion matrices.

    Shapes:
        matrices: layer set -> (classes, classes), int64, a row per class
    """
    rows = []
    for index, name in enumerate(classes):
        row = [name, f"{sum(m[index].sum().item() for m in matrices.values()) // len(matrices):,}"]
        for matrix in matrices.values():
            wrong = matrix[index].clone()
            wrong[index] = 0
            worst = wrong.argmax().item()
            taken = f"{classes[worst]} ({wrong[worst]})" if wrong[worst] else ""
            row += [f"{class_accuracies(matrix)[index]:.2%}", taken]
        rows.append(row)
    headers = ["class", "test images"]
    for layers in matrices:
        headers += [LAYER_NAMES[layers], "most often taken for"]
    sides = ["left", "right", *["right", "left"] * len(matrices)]
    return tabulate(rows, headers, tablefmt="simple", colalign=sides, disable_numparse=True)


def time_ratio(slow: Sequence[float], fast: Sequence[float]) -> tuple[float, float, float]:
    """median(slow) / median(fast), and the quartiles of slow[i] / fast[i]."""
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    quartiles = statistics.quantiles(ratios * 2 if len(ratios) == 1 else ratios, method="inclusive")
    return statistics.median(slow) / statistics.median(fast), quartiles[0], quartiles[-1]
