"""Training: the same net with fastconv's layers and with torch.nn's, side by side, epoch by epoch.

Layer: a user of models and data. Nothing here prints; an Observer sees what happens.
"""

import csv
import io
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

import torch
from torch.nn import functional as F

from fastconv import checkpoint, models
from fastconv.config import Config, TrainError
from fastconv.data import Dataset
from fastconv.files import write_atomically

CHECKPOINT_FIELDS = {"config": dict, "epochs_done": int, "history": list, "learners": dict}
LAYER_NAMES = {"fastconv": "fastconv", "torch": "torch.nn"}  # for people
EVALUATION_BATCH = 500  # images; large enough to be quick, small enough to stay in memory


@dataclass(frozen=True)
class EpochResult:
    """One epoch of one layer set: a row of metrics.csv.

    ``seconds`` counts batches, forward, backward and optimiser, not the evaluation; accuracies
    are fractions; the training figures are means over the epoch, taken before each step.
    """

    epoch: int
    layers: str
    train_loss: float
    train_accuracy: float
    test_accuracy: float
    seconds: float
    images_per_second: float


class Observer:
    """What a ``Trainer`` reports to; this one ignores it."""

    def batch(self, epoch: int, layers: str, images: int, loss: float, accuracy: float) -> None:
        """``images`` more images are done; loss and accuracy are means over the epoch so far."""

    def epoch(self, result: EpochResult) -> None:
        """One layer set has finished an epoch."""


@contextmanager
def seeded(seed: int, epoch: int) -> Iterator[None]:
    """Torch's CPU generator as a function of (seed, epoch), and as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed((seed << 20) + epoch)
        yield


class Learner:
    """A model with one layer set, and its optimiser."""

    def __init__(self, config: Config, layers: str, dataset: Dataset) -> None:
        self.config = config
        self.layers = layers
        self.dataset = dataset
        with seeded(config.seed, 0):
            self.model = models.build(
                config.model,
                layers=layers,
                num_classes=len(dataset.classes),
                in_channels=dataset.train_images.shape[1],
            )
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=config.lr, momentum=config.momentum
        )

    def train_epoch(self, epoch: int, observer: Observer) -> EpochResult:
        """Train for one epoch (numbered from 1), then evaluate.

        Raises:
            TrainError: the loss is no longer finite.
        """
        images, labels = self.dataset.train_images, self.dataset.train_labels
        seen, loss_sum, correct, seconds = 0, 0.0, 0, 0.0
        self.model.train()
        with seeded(self.config.seed, epoch):
            for rows in torch.randperm(len(labels)).split(self.config.batch_size):
                start = time.perf_counter()
                target = labels[rows]
                progress = (epoch - 1 + seen / len(labels)) / self.config.epochs
                loss, logits = self._step(images[rows], target, progress)
                seconds += time.perf_counter() - start
                seen += len(rows)
                loss_sum += loss.item() * len(rows)
                correct += (logits.argmax(1) == target).sum().item()
                observer.batch(epoch, self.layers, len(rows), loss_sum / seen, correct / seen)
        if not math.isfinite(loss_sum):
            raise TrainError(
                f"the loss of the {self.layers} layers became {loss_sum} in epoch {epoch}: "
                "use a lower lr"
            )
        return EpochResult(
            epoch=epoch,
            layers=self.layers,
            train_loss=loss_sum / seen,
            train_accuracy=correct / seen,
            test_accuracy=self.test_accuracy(),
            seconds=seconds,
            images_per_second=seen / seconds,
        )

    def _step(
        self, images: torch.Tensor, target: torch.Tensor, progress: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step of SGD at ``progress`` (0 .. 1) of the run: the detached loss and logits."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * 0.5 * (1 + math.cos(math.pi * progress))
        logits = self.model(images)
        loss = F.cross_entropy(logits, target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach(), logits.detach()

    @torch.no_grad()
    def test_accuracy(self) -> float:
        """The fraction of the test images that the model gets right."""
        self.model.eval()
        correct = 0
        labels = self.dataset.test_labels
        batches = self.dataset.test_images.split(EVALUATION_BATCH)
        for images, target in zip(batches, labels.split(EVALUATION_BATCH), strict=True):
            correct += (self.model(images).argmax(1) == target).sum().item()
        return correct / len(labels)


class Trainer:
    """A run in a folder: learners, what they have achieved, and the files that keep it.

    After every epoch of all learners ``checkpoint.pt`` and ``metrics.csv`` are replaced. A run
    that is stopped and resumed ends with the same bits as one that is not (given the same
    number of threads), because nothing random outlives an epoch.

    Args:
        config: what to do.
        dataset: what to do it with.
        out: the folder, made if needed.
        resume: go on from the checkpoint in ``out``, else start anew and replace it.

    Raises:
        TrainError: nothing to resume, or a checkpoint that is damaged or of another run.
        WriteError: ``out`` cannot be written.
    """

    def __init__(
        self, config: Config, dataset: Dataset, out: str | Path, *, resume: bool = False
    ) -> None:
        self.config = config
        self.dataset = dataset
        self.out = Path(out)
        self.learners = {name: Learner(config, name, dataset) for name in config.layer_sets}
        self.history: list[EpochResult] = []
        self.epochs_done = 0
        if resume:
            self._restore()
        self._save()

    def fit(self, observer: Observer | None = None) -> list[EpochResult]:
        """Train the epochs that remain; layer sets take turns, and turns at being first.

        Returns:
            the history of the run, including epochs before a resume

        Raises:
            TrainError, WriteError, KeyboardInterrupt: the epochs before this one are saved.
        """
        observer = observer or Observer()
        for epoch in range(self.epochs_done + 1, self.config.epochs + 1):
            names = self.config.layer_sets
            turns = names if epoch % 2 else names[::-1]
            results = {}
            for name in turns:
                results[name] = self.learners[name].train_epoch(epoch, observer)
                observer.epoch(results[name])
            self.history += [results[name] for name in names]
            self.epochs_done = epoch
            self._save()
        return self.history

    def _save(self) -> None:
        state = {
            "config": asdict(self.config),
            "epochs_done": self.epochs_done,
            "history": [asdict(result) for result in self.history],
            "learners": {
                name: {
                    "model": learner.model.state_dict(),
                    "optimizer": learner.optimizer.state_dict(),
                }
                for name, learner in self.learners.items()
            },
        }
        checkpoint.save(checkpoint_path(self.out), state)
        # Written whole from the history, so it agrees with the checkpoint after any interruption.
        table = io.StringIO(newline="")
        writer = csv.writer(table)
        writer.writerow(field.name for field in fields(EpochResult))
        writer.writerows(astuple(result) for result in self.history)
        write_atomically(self.out / "metrics.csv", table.getvalue().encode())

    def _restore(self) -> None:
        path = checkpoint_path(self.out)
        state = checkpoint.load(path, CHECKPOINT_FIELDS)
        for name, wanted in asdict(self.config).items():
            found = state["config"].get(name)
            if found != wanted:
                raise TrainError(
                    f"{path} is of a run with {name} {found}, not {wanted}: give the options of "
                    "that run, another --out, or leave out --resume to start anew"
                )
        try:
            self.epochs_done = state["epochs_done"]
            self.history = [EpochResult(**result) for result in state["history"]]
            for name, learner in self.learners.items():
                learner.model.load_state_dict(state["learners"][name]["model"])
                learner.optimizer.load_state_dict(state["learners"][name]["optimizer"])
            if len(self.history) != self.epochs_done * len(self.learners):
                raise ValueError("the history does not fit the number of epochs")
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise checkpoint.damaged(path) from error


def checkpoint_path(out: str | Path) -> Path:
    """The checkpoint of the run in the folder ``out``."""
    return Path(out) / "checkpoint.pt"
