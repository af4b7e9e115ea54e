"""What the tests of training share: small data sets, short runs, and what has come of them."""

import dataclasses
import functools
import math

import torch

from fastconv import data
from fastconv.train import EpochResult, Learner, Observer, Trainer
from fastconv.train.config import Config


@functools.cache
def digits() -> data.Dataset:
    return data.load("digits")


@functools.cache
def few_digits() -> data.Dataset:
    """200 + 100 images; 200 is not a multiple of the batch size."""
    whole = digits()
    return dataclasses.replace(
        whole,
        train=data.Split(whole.train.images[:200], whole.train.labels[:200]),
        test=data.Split(whole.test.images[:100], whole.test.labels[:100]),
    )


@functools.cache
def noise(channels: int = 1, count: int = 30) -> data.Dataset:
    """Two thirds of ``count`` images of noise to train with, enough to run through everything."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, channels, 32, 32), generator=generator).byte()
    labels = torch.arange(count) % 10
    cut = count * 2 // 3
    return data.Dataset.from_splits(
        "digits",
        data.Split(images[:cut], labels[:cut]),
        data.Split(images[cut:], labels[cut:]),
        tuple("0123456789"),
    )


def config(**changes) -> Config:
    return Config.for_data("digits", **{"model": "lenet5", "epochs": 3, **changes})


def learner(dataset: data.Dataset | None = None, **changes) -> Learner:
    """One layer set, torch.nn's unless told otherwise, on few digits."""
    wanted = config(**{"layers": "torch", **changes})
    return Learner(wanted, wanted.layers, dataset or few_digits())


def trained(dataset: data.Dataset | None = None, **changes) -> Learner:
    """The same after its epochs."""
    one = learner(dataset, **changes)
    for epoch in range(1, math.ceil(one.total_steps / one.steps_per_epoch) + 1):
        one.train_epoch(epoch, Observer())
    return one


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {
        f"{layers}.{name}": tensor
        for layers, learner in trainer.learners.items()
        for name, tensor in learner.model.state_dict().items()
    }


def assert_same_weights(a: Trainer, b: Trainer) -> None:
    ours, theirs = weights(a), weights(b)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def without_times(history: list[EpochResult]) -> list[EpochResult]:
    return [dataclasses.replace(r, seconds=0.0, images_per_second=0.0) for r in history]


class StopAfter(Observer):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.last = epoch

    def batch(self, epoch: int, layers: str, images: int, loss: float, accuracy: float) -> None:
        if epoch > self.last:
            raise KeyboardInterrupt
