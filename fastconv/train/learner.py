"""A model with one layer set, its optimiser, and an epoch of training.

Layer: below the trainer.
"""

import math
import os
import shutil
import time
import warnings
from itertools import islice
from typing import TYPE_CHECKING

import torch

from fastconv import models
from fastconv.data import Dataset
from fastconv.train import transfer
from fastconv.train.batches import Batch, batches, seeded
from fastconv.train.config import Config, TrainError
from fastconv.train.evaluate import accuracy, confusion_matrix
from fastconv.train.norm import synchronise
from fastconv.train.optim import make_loss, make_optimizer, make_schedule
from fastconv.train.processes import Place
from fastconv.train.results import EpochResult, Observer

if TYPE_CHECKING:
    from fastconv.train.schema import LearnerState

DIVERGED = 10  # times the loss of the first step, and of guessing


class Learner:
    """A model, its optimiser, and what it has achieved.

    Attributes:
        model: the plain module, also where it is trained through torch.compile or by several
            processes.
        note: where the weights come from, if from elsewhere.
        steps: (steps so far, 2), float64: loss before each step, and its learning rate.
        confusion: (classes, classes), int64, after the last epoch: rows are what the test images
            show, columns what the model says.

    Raises:
        TrainError: nothing to start from, or nothing to freeze, or a warm-up as long as the run.
    """

    def __init__(
        self,
        config: Config,
        layers: str,
        dataset: Dataset,
        place: Place | None = None,
        *,
        fresh: bool = True,
    ) -> None:
        self.config = config
        self.layers = layers
        self.dataset = dataset
        self.place = place or Place()
        count = len(dataset.train.labels)
        self.steps_per_epoch = math.ceil(count / config.batch_size)
        self.total_steps = min(config.epochs * self.steps_per_epoch, config.max_steps or math.inf)
        self.steps = torch.empty(0, 2, dtype=torch.float64)
        classes = len(dataset.classes)
        self.confusion = torch.zeros(classes, classes, dtype=torch.int64)
        with seeded(config.seed, 0, Place()):  # the same weights in every process
            model = models.build(
                config.model,
                layers=layers,
                num_classes=classes,
                in_channels=dataset.train.images.shape[1],
            )
        self.note = ""
        if config.init_from and fresh:
            self.note = transfer.start_from(model, config.init_from, layers)
        if self.place.size > 1:
            model = synchronise(model, self.place.device)
        self.frozen = transfer.freeze(model, config.freeze)
        memory_format = torch.channels_last if config.channels_last else torch.preserve_format
        self.model = model.to(self.place.device, memory_format=memory_format)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.loss = make_loss(config)
        self.optimizer = make_optimizer(config, trained)
        self.schedule = make_schedule(
            config, self.optimizer, self.steps_per_epoch, self.total_steps
        )
        self.forward = self.place.share(self.model)
        if config.compile:
            if shutil.which(os.environ.get("CXX", "g++")) is None:
                raise TrainError("compile needs a C++ compiler: install g++ or name one in CXX")
            self.forward = torch.compile(self.forward)

    def train_epoch(self, epoch: int, observer: Observer) -> EpochResult:
        """Train for one epoch (numbered from 1), then evaluate.

        Raises:
            TrainError: the loss is no longer finite, or has diverged: its median over the
                second half of an epoch is more than ``DIVERGED`` times that of the run's first
                step and of guessing.
        """
        self.model.train()
        for module in self.frozen:
            module.eval()
        sizes, shares, rates, seconds = [], [], [], 0.0
        seen = correct = 0  # images of this process
        loss_sum = 0.0
        left = self.total_steps - (epoch - 1) * self.steps_per_epoch
        with seeded(self.config.seed, epoch, self.place):
            start = time.perf_counter()
            for batch in islice(batches(self.config, self.dataset, epoch, self.place), left):
                rate = self.schedule.get_last_lr()[0]
                loss, right = self._step(batch)
                seconds += time.perf_counter() - start
                sizes.append(batch.size)
                shares.append(loss * batch.share)
                rates.append(rate)
                seen += len(batch.labels)
                loss_sum += loss * len(batch.labels)
                correct += right
                observer.batch(epoch, self.layers, batch.size, loss_sum / seen, correct / seen)
                start = time.perf_counter()
        losses = self.place.sum(torch.tensor(shares, dtype=torch.float64))
        self._record(epoch, losses, rates)
        images = torch.tensor(sizes, dtype=torch.float64)
        self.confusion = confusion_matrix(
            self.model, self.dataset, self.dataset.test, self.place, amp=self.config.amp
        )
        return EpochResult(
            epoch=epoch,
            layers=self.layers,
            train_loss=(losses @ images / images.sum()).item(),
            train_accuracy=self.place.sum(torch.tensor(correct)).item() / sum(sizes),
            test_accuracy=accuracy(self.confusion),
            seconds=seconds,
            images_per_second=sum(sizes) / seconds,
        )

    def _record(self, epoch: int, losses: torch.Tensor, rates: list[float]) -> None:
        """Add an epoch of steps, unless its losses say that the training has diverged."""
        rows = torch.stack([losses, torch.tensor(rates, dtype=torch.float64)], dim=1)
        steps = torch.cat([self.steps, rows])
        first, guessed = steps[0, 0].item(), self._guessed()
        last = losses[len(losses) // 2 :].median().item()
        bad = losses[~losses.isfinite()]
        if len(bad):
            what = f"became {bad[0].item()} in epoch {epoch}"
        elif last > DIVERGED * max(first, guessed):
            what = (
                f"is {last:.3g} in the second half of epoch {epoch}, more than {DIVERGED} times "
                f"that of the first step ({first:.3g}) and of guessing ({guessed:.3g})"
            )
        else:
            self.steps = steps
            return
        raise TrainError(f"the loss of the {self.layers} layers {what}: use a lower lr")

    def _guessed(self) -> float:
        """The loss of outputs that are all 0: with cross-entropy the log of the classes."""
        outputs = torch.zeros(1, len(self.dataset.classes))
        return self.loss(outputs, torch.zeros(1, dtype=torch.int64)).item()

    def _step(self, batch: Batch) -> tuple[float, int]:
        """One step of the optimiser: the loss before it, and how many answers were right."""
        with torch.autocast(self.place.device.type, torch.bfloat16, enabled=self.config.amp):
            outputs = self.forward(batch.images)
        outputs = outputs.float()
        loss = self.loss(outputs, batch.target)
        self.optimizer.zero_grad()
        # The processes' gradients are averaged with equal weights, their images may differ in
        # number: share * size makes it the gradient of the mean over the whole batch.
        weight = batch.share * self.place.size
        (loss if weight == 1 else loss * weight).backward()
        self.optimizer.step()
        self.schedule.step()
        right = (outputs.argmax(1) == batch.labels).sum().item() if batch.share else 0
        return loss.item(), right

    def state(self) -> dict[str, torch.Tensor | dict]:
        """All that a later ``restore`` needs to go on with the same bits."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
            "confusion": self.confusion,
        }

    def restore(self, state: "LearnerState", steps: int) -> None:
        """Go on, after ``steps`` steps, from what ``state`` returned.

        Raises:
            ValueError, RuntimeError: not the state of such a learner.
        """
        from fastconv.train.schema import like

        like(self.model.state_dict(), state.model, "model")
        kept = like(self._optimizer_state() if steps else {}, state.optimizer.state, "optimizer")
        like(torch.empty(steps, 2, dtype=torch.float64), state.steps, "steps")
        like(self.confusion, state.confusion, "confusion")
        if any(one.get("step", steps) != steps for one in kept.values()):
            raise ValueError("optimizer is of another number of steps")
        if not state.steps.isfinite().all():
            raise ValueError("steps is not finite")
        shown = self.dataset.test.labels.bincount(minlength=len(self.confusion))
        if (state.confusion.sum(1) != (shown if steps else 0)).any() or state.confusion.min() < 0:
            raise ValueError("confusion does not fit the test images")
        self.model.load_state_dict(state.model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the rate without a step of the optimiser
            for _ in range(steps):
                self.schedule.step()
        # The numbers of the groups are the config's, and the rate follows from the steps.
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": kept, "param_groups": groups})
        self.steps, self.confusion = state.steps, state.confusion

    def _optimizer_state(self) -> dict[int, dict]:
        """What the optimiser keeps after a step, without numbers."""
        (group,) = self.optimizer.param_groups
        copies = [torch.nn.Parameter(torch.empty_like(p, device="meta")) for p in group["params"]]
        for copy in copies:
            copy.grad = torch.empty_like(copy)
        optimizer = make_optimizer(self.config, copies)
        optimizer.step()
        return optimizer.state_dict()["state"]
