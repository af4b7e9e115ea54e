"""A run in a folder: epochs of all layer sets in turn, and the files that keep them.

Layer: the top of train. It prints nothing; Observers get reports of the run.
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING

from fastconv.data import Dataset
from fastconv.data.files import write_atomically
from fastconv.data.words import brief
from fastconv.train import checkpoint
from fastconv.train.config import Config, TrainError
from fastconv.train.evaluate import class_accuracies
from fastconv.train.learner import Learner
from fastconv.train.processes import Place
from fastconv.train.results import EpochResult, Observer

if TYPE_CHECKING:
    from fastconv.train.schema import Checkpoint


class Trainer:
    """A run: learners, what they have achieved, and the files that keep it.

    After every epoch of all learners ``checkpoint.pt``, ``metrics.csv`` (a row per epoch),
    ``steps.csv`` (a row per step) and ``classes.csv`` (accuracy per class) are replaced. A run
    that is stopped and resumed ends with the same bits as one that is not (on a CPU, given the
    same number of threads and processes), because nothing random outlives an epoch.

    Args:
        config: what to do.
        dataset: what to do it with.
        out: the folder, made if needed; None keeps nothing.
        resume: go on from the checkpoint in ``out``, else start anew and replace it.
        place: where, and with which other processes; by default alone on the CPU.

    Raises:
        TrainError: nothing to resume, a checkpoint that is damaged or of another run, or a config
            that does not fit the model.
        WriteError: ``out`` cannot be written.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        out: str | Path | None,
        *,
        resume: bool = False,
        place: Place | None = None,
    ) -> None:
        self.config = config
        self.dataset = dataset
        self.out = None if out is None else Path(out)
        self.place = place or Place()
        # One reads, for another machine may not have the file.
        state = self.place.from_leader(self._load() if resume and self.place.leads else None)
        self.learners = {
            name: Learner(config, name, dataset, self.place, fresh=not resume)
            for name in config.layer_sets
        }
        first = next(iter(self.learners.values()))
        self.steps_per_epoch, self.total_steps = first.steps_per_epoch, first.total_steps
        self.epochs = math.ceil(self.total_steps / self.steps_per_epoch)
        self.history: list[EpochResult] = []
        self.epochs_done = 0
        if state is not None:
            self._restore(state)
        self._save()

    @property
    def steps_done(self) -> int:
        """Steps of every learner in the finished epochs."""
        return min(self.epochs_done * self.steps_per_epoch, self.total_steps)

    def fit(self, *observers: Observer) -> list[EpochResult]:
        """Train the epochs that remain; layer sets take turns, and turns at being first.

        Returns:
            the history of the run, including epochs before a resume

        Raises:
            TrainError, WriteError, KeyboardInterrupt: the epochs before this one are saved.
        """
        observer = Observers(observers)
        for epoch in range(self.epochs_done + 1, self.epochs + 1):
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
        if self.out is None or not self.place.leads:
            return
        dataset = self.dataset
        state = {
            "config": asdict(self.config),
            "dataset": {
                "name": dataset.name,
                "classes": list(dataset.classes),
                "mean": dataset.mean,
                "std": dataset.std,
                "input_shape": list(dataset.train.images.shape[1:]),
            },
            "epochs_done": self.epochs_done,
            "history": [asdict(result) for result in self.history],
            "learners": {name: learner.state() for name, learner in self.learners.items()},
        }
        checkpoint.save(checkpoint.path_in(self.out), state)
        # Written whole from what the checkpoint holds, so they agree after any interruption.
        header = [field.name for field in fields(EpochResult)]
        self._write_table("metrics.csv", header, map(astuple, self.history))
        self._write_table("steps.csv", ["layers", "step", "loss", "lr"], self._step_rows())
        names = list(self.learners)
        accuracies = [class_accuracies(learner.confusion) for learner in self.learners.values()]
        self._write_table(
            "classes.csv", ["class", *names], zip(dataset.classes, *accuracies, strict=True)
        )

    def _step_rows(self) -> Iterable[tuple[str, int, float, float]]:
        for name, learner in self.learners.items():
            for step, (loss, rate) in enumerate(learner.steps.tolist(), start=1):
                yield name, step, loss, rate

    def _write_table(self, name: str, header: Sequence[str], rows: Iterable[Sequence]) -> None:
        table = io.StringIO(newline="")
        writer = csv.writer(table)
        writer.writerow(header)
        writer.writerows(rows)
        write_atomically(self.out / name, table.getvalue().encode())

    def _restore(self, state: "Checkpoint") -> None:
        self.epochs_done, self.history = state.epochs_done, state.history
        try:
            for name, learner in self.learners.items():
                learner.restore(state.learners[name], self.steps_done)
        except (ValueError, RuntimeError) as error:
            path = checkpoint.path_in(self.out)
            raise checkpoint.damaged(path, checkpoint.AFRESH, error) from error

    def _load(self) -> "Checkpoint":
        """The checkpoint, which must be of the same run."""
        if self.out is None:
            raise TrainError("there is no run to resume without an out folder: name it")
        path = checkpoint.path_in(self.out)
        state = checkpoint.load(path)
        wanted = {**asdict(self.config), "images of": self.dataset.classes}
        found = {**asdict(state.config), "images of": state.dataset.classes}
        for name, value in wanted.items():
            if found[name] != value:
                raise TrainError(
                    f"{path} is of a run with {name} {brief(found[name])}, not {brief(value)}: "
                    "give the options of that run, another --out, or leave out --resume to start "
                    "anew"
                )
        return state


class Observers(Observer):
    """Several observers as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.observers = observers

    def batch(self, epoch: int, layers: str, images: int, loss: float, accuracy: float) -> None:
        for observer in self.observers:
            observer.batch(epoch, layers, images, loss, accuracy)

    def epoch(self, result: EpochResult) -> None:
        for observer in self.observers:
            observer.epoch(result)
