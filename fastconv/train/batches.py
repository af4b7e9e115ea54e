"""The batches of an epoch: which images, with which random changes, for which process.

Layer: below the learner. All random numbers depend on (seed, epoch) alone. Both layer sets, any
number of processes, and a resumed run therefore see the same batches.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn import functional as F
from torch.utils.data import Sampler

from fastconv.data import Augment, Dataset
from fastconv.train.config import Config
from fastconv.train.processes import Place


def epoch_seed(seed: int, epoch: int) -> int:
    """A number of its own for every epoch of every seed; below 2**52."""
    return (seed << 20) + epoch


@contextmanager
def seeded(seed: int, epoch: int, place: Place) -> Iterator[None]:
    """Torch's generators as a function of (seed, epoch, rank), and as they were afterwards."""
    devices = [place.device] if place.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed((place.rank << 52) + epoch_seed(seed, epoch))
        yield


class BatchSampler(Sampler[torch.Tensor]):
    """The rows (B,) of every batch of an epoch: a permutation of ``count`` rows, cut up.

    Every process draws the whole of it and takes its share later. (torch's DistributedSampler
    pads the permutation instead, so that the last images of an epoch would count twice.)
    """

    def __init__(self, count: int, batch_size: int, generator: torch.Generator) -> None:
        self.count, self.batch_size, self.generator = count, batch_size, generator

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(torch.randperm(self.count, generator=self.generator).split(self.batch_size))

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)


@dataclass(frozen=True)
class Batch:
    """This process's share of a batch.

    Shapes:
        images: (n, IC, IH, IW), float32, normalised
        target: (n,) int64 labels or, mixed, (n, classes) float32 probabilities
        labels: (n,) int64, what most of the image shows

    Attributes:
        share: n over the number of images in the whole batch.
        size: the number of images in the whole batch.
    """

    images: torch.Tensor
    target: torch.Tensor
    labels: torch.Tensor
    share: float
    size: int


def batches(config: Config, dataset: Dataset, epoch: int, place: Place) -> Iterator[Batch]:
    """The batches of epoch ``epoch``, on the place's device.

    The process of rank r takes images r, r + size, ... of every batch. Where a last batch has
    fewer images than there are processes, those without one take the first with a share of 0, for
    all have to take part in averaging the gradients.
    """
    generator = torch.Generator().manual_seed(epoch_seed(config.seed, epoch))
    chance = random.Random(epoch_seed(config.seed, epoch))
    augment = Augment(
        crop_padding=config.crop_padding if "crop" in config.augment else 0,
        flip="flip" in config.augment,
    )
    memory_format = torch.channels_last if config.channels_last else torch.preserve_format
    split = dataset.train

    def images_at(rows: torch.Tensor) -> torch.Tensor:
        return dataset.normalize(rows.to(place.device)).to(memory_format=memory_format)

    for rows in BatchSampler(len(split.labels), config.batch_size, generator):
        idle = place.rank >= len(rows)
        mine = slice(0, 1) if idle else slice(place.rank, None, place.size)
        labels = split.labels[rows]
        if config.mixup:
            kept = chance.betavariate(config.mixup, config.mixup)
            partners = torch.randperm(len(rows), generator=generator)[mine]
        if config.augment or config.mixup:
            # Drawn for the whole batch, so that a process's share does not depend on how many
            # there are.
            whole = augment(split.images[rows], generator)
            images = images_at(whole[mine])
        else:
            images = images_at(split.images[rows[mine]])
        target = true = labels[mine]
        if config.mixup:
            images = kept * images + (1 - kept) * images_at(whole[partners])
            one, other = (
                F.one_hot(some, len(dataset.classes)).float() for some in (true, labels[partners])
            )
            target = kept * one + (1 - kept) * other
            true = true if kept >= 0.5 else labels[partners]
        share = 0.0 if idle else len(true) / len(rows)
        yield Batch(images, target.to(place.device), true.to(place.device), share, len(rows))
