"""The data sets: uint8 images (N, IC, IH, IW), int64 labels, and the numbers that normalise them.

Layer: beside the models; torch, and other packages where a data set needs them.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from fastconv.data import cifar, digits, folder, idx
from fastconv.data.augment import Augment
from fastconv.data.dataset import ChoiceError, DataError, Dataset, Images, Split
from fastconv.data.fitting import fit, subset

__all__ = [
    "DATASETS",
    "Augment",
    "ChoiceError",
    "DataError",
    "Dataset",
    "Images",
    "Split",
    "data_root",
    "load",
]

Loader = Callable[[Path, bool], tuple[Split, Split, tuple[str, ...]]]
LOADERS: dict[str, Loader] = {
    "digits": lambda root, download: digits.load(),  # they come with scikit-learn
    "mnist": idx.MNIST.load,
    "fashion_mnist": idx.FASHION_MNIST.load,
    "cifar10": cifar.CIFAR10.load,
    "cifar100": cifar.CIFAR100.load,
    "folder": folder.load,
}
DATASETS = tuple(LOADERS)
DEFAULT_SIZES = {"digits": (32, 32)}  # of images that are stored smaller than any net takes them


def load(
    name: str,
    root: str | Path | None = None,
    download: bool = False,
    *,
    classes: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> Dataset:
    """Load a data set by name.

    ============= ============================================= ==========================
    name          images, training + test                       files under ``root``
    ============= ============================================= ==========================
    digits        1,438 + 359, 1 x 8 x 8 scaled to 32 x 32      none: scikit-learn's
    mnist         60,000 + 10,000, 1 x 28 x 28                  MNIST/raw
    fashion_mnist 60,000 + 10,000, 1 x 28 x 28                  FashionMNIST/raw
    cifar10       50,000 + 10,000, 3 x 32 x 32                  cifar-10-batches-py or -bin
    cifar100      50,000 + 10,000, 3 x 32 x 32                  cifar-100-python or -binary
    folder        pictures, 3 channels, scaled to 224 x 224     train/CLASS, val or test/CLASS
    ============= ============================================= ==========================

    Args:
        name: one of ``DATASETS``.
        root: folder that holds those above; by default $FASTCONV_DATA, else ``data``.
        download: fetch the files that are missing (not for "folder").
        classes: keep these classes only, labelled in this order.
        size: (IH, IW) that the model wants. 28 x 28 becomes 32 x 32 by a black border; else
            images are resized (bilinear, antialiased), those of a folder after cutting out the
            largest centred part of that shape.
        channels: 3 repeats a grey image, 1 takes the luma of a coloured one.

    Raises:
        DataError: a file is missing, damaged or cannot be fetched.
        ChoiceError (a DataError and a ValueError): no such data set, class, size or channels.
        ModuleNotFoundError: digits without scikit-learn, folder without Pillow, a download
            without tqdm.
    """
    if name not in LOADERS:
        raise ChoiceError(f"no data set {name!r}: choose from {', '.join(DATASETS)}")
    train, test, names = LOADERS[name](data_root(root), download)
    if classes is not None:
        train, test = (subset(split, names, classes) for split in (train, test))
        names = tuple(classes)
    size = size or DEFAULT_SIZES.get(name)
    train, test = (fit(split, size, channels) for split in (train, test))
    return Dataset.from_splits(name, train, test, names)


def data_root(root: str | Path | None = None) -> Path:
    """The folder of the data sets: ``root``, else $FASTCONV_DATA, else ``data``."""
    return Path(root or os.environ.get("FASTCONV_DATA") or "data")
