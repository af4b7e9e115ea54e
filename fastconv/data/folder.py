"""Pictures in folders named after what they show: ROOT/train/CLASS, ROOT/val or ROOT/test/CLASS.

Layer: a data set; torch, numpy, and Pillow where a picture is resized.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
import torch

from fastconv.data.dataset import DataError, Split
from fastconv.data.decoding import decoded
from fastconv.data.reading import unreadable

if TYPE_CHECKING:
    from PIL import Image

SIZE = (224, 224)  # IH, IW, unless asked otherwise
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
MODES = {1: "L", 3: "RGB"}  # channels: Pillow's name for them


@dataclass(frozen=True)
class Pictures:
    """Picture files as images (N, IC, IH, IW), decoded, cut and resized when asked for."""

    paths: tuple[str, ...]
    size: tuple[int, int] = SIZE
    channels: int = 3

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.paths), self.channels, *self.size))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
        """The pictures at int64 ``rows`` (B,): uint8 (B, IC, IH, IW).

        Raises:
            DataError: a picture is missing, damaged, too large or not of 8 bits per channel.
        """
        batch = torch.empty((len(rows), *self.shape[1:]), dtype=torch.uint8)
        for image, row in zip(batch, rows.tolist(), strict=True):
            image[:] = decode(self.paths[row], self.size, self.channels)
        return batch

    def select(self, rows: torch.Tensor) -> "Pictures":
        """The same pictures at ``rows`` (B,) only."""
        return replace(self, paths=tuple(self.paths[row] for row in rows.tolist()))

    def fit(self, size: tuple[int, int] | None, channels: int | None) -> "Pictures":
        """The same pictures with another ``size`` (IH, IW) or number of channels."""
        return replace(self, size=size or self.size, channels=channels or self.channels)


def decode(path: str, size: tuple[int, int], channels: int) -> torch.Tensor:
    """A picture as uint8 (IC, IH, IW): its largest centred part of that shape, resized.

    Raises:
        DataError, ModuleNotFoundError: as ``decoded``.
    """
    return cut_out(decoded(path, grey=channels == 1), size, channels)


def cut_out(picture: "Image.Image", size: tuple[int, int], channels: int) -> torch.Tensor:
    """The largest centred part of ``picture`` of the shape ``size``, resized: (IC, IH, IW)."""
    from PIL import Image, ImageOps

    IH, IW = size
    picture = picture.convert(MODES[channels])
    picture = ImageOps.fit(picture, (IW, IH), Image.Resampling.BILINEAR)
    return torch.from_numpy(numpy.array(picture)).view(IH, IW, channels).permute(2, 0, 1)


def load(root: Path, download: bool) -> tuple[Split, Split, tuple[str, ...]]:
    """The pictures under ``root`` and the names of their classes, in alphabetic order.

    Raises:
        DataError: a folder is missing, unreadable or without pictures, or there is a class to
            test that is not in ``train``; nothing of this kind can be downloaded.
    """
    if download:
        raise DataError(f"the pictures in {root} cannot be downloaded: leave out --download")
    train = _pictures(root / "train")
    test_folder = root / ("val" if (root / "val").is_dir() else "test")
    test = _pictures(test_folder)
    classes = tuple(train)
    for name in test:
        if name not in train:
            raise DataError(f"{test_folder / name} has no counterpart in {root / 'train'}")
    return _split(train, classes), _split(test, classes), classes


def _split(pictures: dict[str, list[str]], classes: tuple[str, ...]) -> Split:
    paths = tuple(path for paths in pictures.values() for path in paths)
    label = {name: index for index, name in enumerate(classes)}
    labels = [label[name] for name, paths in pictures.items() for _ in paths]
    return Split(Pictures(paths), torch.tensor(labels))


def _pictures(folder: Path) -> dict[str, list[str]]:
    """Sorted names of the folders in ``folder``, each with the sorted pictures under it."""

    def fail(error: OSError) -> None:
        raise error

    pictures = {}
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
        for name in names:
            if name.startswith("."):
                continue
            if not name.isprintable():
                raise DataError(f"{folder} holds a folder of unprintable name {name!r}: rename it")
            found = [
                os.path.join(parent, file)
                for parent, _, files in os.walk(folder / name, onerror=fail)
                for file in files
                if os.path.splitext(file)[1].lower() in SUFFIXES and not file.startswith(".")
            ]
            if not found:
                raise DataError(f"{folder / name} holds no pictures: add some or remove it")
            pictures[name] = sorted(found)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"{folder} is missing: --root or FASTCONV_DATA must name the folder that holds "
            "train and val (or test) with a folder of pictures per class"
        ) from error
    except OSError as error:
        raise unreadable(error.filename or folder, error) from error
    if not pictures:
        raise DataError(f"{folder} holds no folders of pictures, one per class")
    return pictures
