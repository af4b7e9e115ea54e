"""The data sets, ready to train on: normalised float32 images (N, IC, IH, IW) and int64 labels.

Layer: beside the models; torch and the standard library, scikit-learn only for digits.
"""

import gzip
import hashlib
import math
import os
import urllib.request
import zlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

import torch
from torch.nn import functional as F

from fastconv.files import write_atomically

MNIST_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
MNIST_SIZE = 28  # pixels per side, as stored
IMAGE_SIZE = 32  # pixels per side, as the nets take them
DIGIT_NAMES = tuple("0123456789")
DIGITS_SPLIT_SEED = 0
CHUNK = 1 << 20  # bytes per read: memory grows with what a file holds, not with what it claims
DOWNLOAD_TIMEOUT = 30  # seconds without an answer


class DataError(RuntimeError):
    """A data set is missing or damaged; the message is one sentence: the file and what to do."""


@dataclass(frozen=True)
class Dataset:
    """A labelled data set, split into training and test.

    Shapes:
        train_images, test_images: (N, IC, IH, IW), float32, zero mean and unit variance per
            channel over the training images (the test images use the same two numbers)
        train_labels, test_labels: (N,), int64, each in 0 .. len(classes) - 1
    """

    name: str
    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    classes: tuple[str, ...]


def load(name: str, root: str | Path | None = None, download: bool = False) -> Dataset:
    """Load a data set by name.

    Args:
        name: "digits" (1,797 images that come with scikit-learn) or "mnist" (60,000 + 10,000).
        root: folder that holds ``MNIST/raw``; by default $FASTCONV_DATA, else ``data``.
        download: fetch the files that are missing.

    Raises:
        DataError: a file is missing, damaged or cannot be fetched.
        ValueError: no such data set.
        ModuleNotFoundError: digits without scikit-learn, a download without tqdm.
    """
    if name not in LOADERS:
        raise ValueError(f"no data set {name!r}: choose from {', '.join(LOADERS)}")
    return LOADERS[name](data_root(root), download)


def data_root(root: str | Path | None = None) -> Path:
    """The folder of the data sets: ``root``, else $FASTCONV_DATA, else ``data``."""
    return Path(root or os.environ.get("FASTCONV_DATA") or "data")


def _load_digits(root: Path, download: bool) -> Dataset:
    """The digits of scikit-learn, 8 x 8 scaled to 32 x 32; they need neither root nor download."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).float().unsqueeze(1) / 16  # stored as 0 .. 16
    images = F.interpolate(images, size=(IMAGE_SIZE, IMAGE_SIZE), mode="bilinear")
    labels = torch.from_numpy(digits.target).long()
    test = _stratified_fifth(labels)
    return _dataset("digits", images[~test], labels[~test], images[test], labels[test])


def _stratified_fifth(labels: torch.Tensor) -> torch.Tensor:
    """A mask (N,) that picks a fifth of every class at random, the same one each time."""
    generator = torch.Generator().manual_seed(DIGITS_SPLIT_SEED)
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        shuffled = members[torch.randperm(len(members), generator=generator)]
        mask[shuffled[: round(len(members) / 5)]] = True
    return mask


def _load_mnist(root: Path, download: bool) -> Dataset:
    folder = root / "MNIST" / "raw"
    if download:
        _download_mnist(folder)
    tensors = []
    for part in ("train", "t10k"):
        image_path = _find(folder / f"{part}-images-idx3-ubyte")
        label_path = _find(folder / f"{part}-labels-idx1-ubyte")
        images = read_idx(image_path, dims=3)
        labels = read_idx(label_path, dims=1)
        if images.shape[1:] != (MNIST_SIZE, MNIST_SIZE):
            height, width = images.shape[1:]
            raise _damaged(image_path, f"has images of {height} x {width} pixels, not 28 x 28")
        if len(images) != len(labels):
            raise _damaged(
                label_path,
                f"has {len(labels)} labels for {len(images)} images in {image_path.name}",
            )
        if labels.max() >= len(DIGIT_NAMES):
            raise _damaged(label_path, f"has a label {labels.max().item()}, beyond 9")
        # 0 is the background of the stored images.
        border = (IMAGE_SIZE - MNIST_SIZE) // 2
        tensors += [F.pad(images, (border,) * 4).unsqueeze(1), labels.long()]
    return _dataset("mnist", *tensors)


def _dataset(
    name: str,
    train_images: torch.Tensor,
    train_labels: torch.Tensor,
    test_images: torch.Tensor,
    test_labels: torch.Tensor,
) -> Dataset:
    """Normalise: image := (image - mean) / std, per channel, both from the training images."""
    train_images = train_images.float()
    mean = train_images.mean(dim=(0, 2, 3), keepdim=True)
    train_images.sub_(mean)
    # Norms take a quarter of the time of torch.std on the 61 million pixels of MNIST; per image
    # first, since one float32 sum over all of them is off by percents.
    norms = torch.linalg.vector_norm(train_images, dim=(2, 3), keepdim=True)
    norm = torch.linalg.vector_norm(norms, dim=0, keepdim=True)
    std = norm / math.sqrt(train_images[:, 0].numel())
    return Dataset(
        name,
        train_images.div_(std),
        train_labels,
        test_images.float().sub_(mean).div_(std),
        test_labels,
        DIGIT_NAMES,
    )


def _find(path: Path) -> Path:
    """``path`` or, where only that exists, ``path`` + ".gz"."""
    packed = path.with_name(path.name + ".gz")
    for candidate in (path, packed):
        if candidate.is_file():
            return candidate
    raise DataError(
        f"{path} (or {packed.name}) is missing: use --download, "
        "or --root or FASTCONV_DATA for the folder that holds MNIST/raw"
    )


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path} {what}: delete it and get it again, for instance with --download")


def read_idx(path: Path, dims: int) -> torch.Tensor:
    """Read an IDX file of bytes, plain or gzip (by its name), with ``dims`` dimensions.

    Format: the magic 0 0 8 dims, then ``dims`` extents as big-endian 32-bit numbers, then the
    bytes in row-major order (https://yann.lecun.com/exdb/mnist).

    Returns:
        a uint8 tensor with the extents that the header states, none of them 0

    Raises:
        DataError: unreadable, not such a file, too short, too long or broken compression.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            header = stream.read(4 * (1 + dims))
            if len(header) < 4 * (1 + dims):
                raise _damaged(path, f"is truncated: only {len(header)} bytes")
            if header[:4] != bytes((0, 0, 8, dims)):
                raise _damaged(path, f"is not an IDX file of bytes in {dims} dimensions")
            extents = [
                int.from_bytes(header[at : at + 4], "big") for at in range(4, len(header), 4)
            ]
            if 0 in extents:
                raise _damaged(path, f"is empty: its header states the extents {extents}")
            content = _read_exactly(stream, math.prod(extents), path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, f"is not intact gzip ({error})") from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror or error}): check its permissions"
        ) from error
    return torch.frombuffer(content, dtype=torch.uint8).view(extents)


def _read_exactly(stream: BinaryIO, size: int, path: Path) -> bytearray:
    """The rest of ``stream``, which must be ``size`` bytes."""
    content = bytearray()
    while len(content) <= size:
        chunk = stream.read(min(CHUNK, size + 1 - len(content)))
        if not chunk:
            break
        content += chunk
    if len(content) < size:
        raise _damaged(path, f"is truncated: {len(content):,} of {size:,} bytes after the header")
    if len(content) > size:
        raise _damaged(path, f"is too long: more than the {size:,} bytes its header states")
    return content


def _download_mnist(folder: Path) -> None:
    """Fetch the packed files of MNIST that are in ``folder`` neither packed nor plain."""
    for name, md5 in MNIST_MD5.items():
        if (folder / name).exists() or (folder / name).with_suffix("").exists():
            continue
        content = _fetch(MNIST_MIRROR + name, folder)
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
            raise DataError(
                f"{MNIST_MIRROR}{name} arrived damaged (its md5 is not {md5}): "
                f"try again, or put the file into {folder} yourself"
            )
        write_atomically(folder / name, content)


def _fetch(url: str, folder: Path) -> bytes:
    """The content of ``url``, with a progress bar on a terminal."""
    from tqdm import tqdm

    content = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            name = url.rpartition("/")[2]
            with tqdm(desc=name, total=size, unit="B", unit_scale=True, disable=None) as bar:
                while chunk := answer.read(CHUNK):
                    content += chunk
                    bar.update(len(chunk))
    except (OSError, HTTPException) as error:  # URLError and timeouts are OSErrors
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"cannot download {url} ({reason}): "
            f"check the network, or put the file into {folder} yourself"
        ) from error
    return bytes(content)


LOADERS = {"digits": _load_digits, "mnist": _load_mnist}
