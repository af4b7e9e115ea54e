"""Fits images to a model: some classes only, another size, another number of channels.

Layer: between the data sets and ``load``; torch only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from fastconv.data.dataset import ChoiceError, Split
from fastconv.data.folder import Pictures
from fastconv.data.words import brief

EAGER_BYTES = 1 << 30  # resized images up to here are kept, beyond they are made when asked for
CHUNK = 1000  # images that are worked on at a time, so that what is in between stays small
# red, green and blue in grey, in 65536ths: ITU-R BT.601 luma as Pillow rounds it
LUMA = (19595, 38470, 7471)


@dataclass(frozen=True)
class Resized:
    """Images (N, IC, IH, IW) as ``size`` = (IH, IW) has them, resized when asked for."""

    images: torch.Tensor
    size: tuple[int, int]

    @property
    def shape(self) -> torch.Size:
        return torch.Size((*self.images.shape[:2], *self.size))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
        images = self.images[rows]
        # On uint8: three times as fast as on float32 and within 1 of it, but torch 2.13 gets a
        # width of 1 wrong.
        if self.size[1] == 1:
            images = images.float()
        resized = F.interpolate(images, self.size, mode="bilinear", antialias=True)
        return resized.round().byte() if resized.is_floating_point() else resized


def select(split: Split, rows: torch.Tensor, labels: torch.Tensor) -> Split:
    """The images at ``rows`` (B,), labelled ``labels`` (B,)."""
    images = split.images
    chosen = images.select(rows) if isinstance(images, Pictures) else images[rows]
    return Split(chosen, labels)


def subset(split: Split, classes: tuple[str, ...], wanted: Sequence[str]) -> Split:
    """The images of the ``wanted`` classes in their order, labelled along ``wanted``.

    Raises:
        ChoiceError: no such class, one twice, or none.
    """
    for name in wanted:
        if name not in classes:
            raise ChoiceError(f"no class {brief(name, repr)}: choose from {', '.join(classes)}")
    if not wanted or len(set(wanted)) < len(wanted):
        raise ChoiceError(f"classes are {brief(list(wanted))}: name one or more, each once")
    relabelled = torch.full((len(classes),), -1)
    relabelled[[classes.index(name) for name in wanted]] = torch.arange(len(wanted))
    labels = relabelled[split.labels]
    rows = (labels >= 0).nonzero().flatten()
    return select(split, rows, labels[rows])


def fit(split: Split, size: tuple[int, int] | None, channels: int | None) -> Split:
    """The images with ``size`` (IH, IW) and ``channels``; None leaves them as they are.

    Raises:
        ChoiceError: a size that is not positive, or a number of channels other than 1 and 3.
    """
    if size is not None and min(size) < 1:
        raise ChoiceError(f"the image size is {size[0]} x {size[1]}: it must be positive")
    if channels not in (None, 1, 3):
        raise ChoiceError(f"channels is {channels}: it must be 1 or 3")
    images = split.images
    if isinstance(images, Pictures):
        return Split(images.fit(size, channels), split.labels)
    return Split(_resize(_recolour(images, channels), size), split.labels)


def _recolour(images: torch.Tensor, channels: int | None) -> torch.Tensor:
    if channels in (None, images.shape[1]):
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    return torch.cat([_luma(part) for part in images.split(CHUNK)])


def _luma(images: torch.Tensor) -> torch.Tensor:
    grey = torch.full_like(images[:, :1], 1 << 15, dtype=torch.int32)  # a half, to round
    for channel, weight in enumerate(LUMA):
        grey.add_(images[:, channel : channel + 1], alpha=weight)
    return (grey >> 16).byte()


def _resize(images: torch.Tensor, size: tuple[int, int] | None) -> torch.Tensor | Resized:
    stored = tuple(images.shape[2:])
    if size in (None, stored):
        return images
    if (stored, size) == ((28, 28), (32, 32)):  # MNIST for a net of 32 x 32: keep the strokes
        return F.pad(images, (2, 2, 2, 2))
    resized = Resized(images, size)
    if resized.shape.numel() > EAGER_BYTES:
        return resized
    return torch.cat([resized[rows] for rows in torch.arange(len(images)).split(CHUNK)])
