"""What a data set is: uint8 images (N, IC, IH, IW), int64 labels, and how to normalise them.

Layer: the lowest of the data sets; torch only.
"""

from dataclasses import dataclass
from typing import Protocol

import torch

SAMPLE = 500  # images that stand for all where each has to be decoded or resized first


class DataError(RuntimeError):
    """A data set is missing or damaged; the message is one sentence: the file and what to do."""


class ChoiceError(DataError, ValueError):
    """No such data set, class, size or number of channels; the message says what there is."""


class Images(Protocol):
    """Images that may be made when asked for; a uint8 tensor (N, IC, IH, IW) is one, too."""

    @property
    def shape(self) -> torch.Size:
        """(N, IC, IH, IW)."""

    def __len__(self) -> int:
        """N."""

    def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
        """The images at int64 ``rows`` (B,): a new uint8 tensor (B, IC, IH, IW).

        Raises:
            DataError: a picture cannot be read.
        """


@dataclass(frozen=True)
class Split:
    """Images and what they show.

    Shapes:
        images: (N, IC, IH, IW), a uint8 tensor, or ``Images`` where they are made when asked for
        labels: (N,), int64
    """

    images: torch.Tensor | Images
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A labelled data set, split into training and test; labels count from 0 along ``classes``.

    Shapes:
        mean, std: (IC,), float32: of the training images scaled to 0 .. 1, per channel
            (estimated from 500 evenly spaced ones where images are made when asked for)
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    mean: torch.Tensor
    std: torch.Tensor

    @classmethod
    def from_splits(
        cls, name: str, train: Split, test: Split, classes: tuple[str, ...]
    ) -> "Dataset":
        """A data set with the mean and standard deviation of its training images."""
        return cls(name, train, test, classes, *statistics(train.images))

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """(images / 255 - mean) / std per channel: uint8 (N, IC, IH, IW) to float32, same shape."""
        mean, std = (255 * t.to(images.device).view(-1, 1, 1) for t in (self.mean, self.std))
        return images.float().sub_(mean).div_(std)


def statistics(images: torch.Tensor | Images) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (IC,) of images / 255; the deviation is 1 where it would be 0.

    A histogram of the 256 values makes them exact, whatever the number of pixels.
    """
    if not isinstance(images, torch.Tensor):
        images = images[torch.linspace(0, len(images) - 1, min(SAMPLE, len(images))).long()]
    values = torch.arange(256, dtype=torch.float64) / 255
    moments = []
    for channel in images.unbind(1):
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        mean = (share * values).sum()
        std = (share * (values - mean).square()).sum().sqrt()
        moments.append((mean, std if std > 0 else torch.ones_like(std)))
    mean, std = (torch.stack(column).float() for column in zip(*moments, strict=True))
    return mean, std
