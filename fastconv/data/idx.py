"""MNIST and FashionMNIST: 60,000 + 10,000 grey images, 28 x 28 pixels, in IDX files.

Layer: a data set; torch and the standard library.
"""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch

from fastconv.data.dataset import Split
from fastconv.data.download import fetch
from fastconv.data.files import write_atomically
from fastconv.data.reading import LIMIT, damaged, is_file, missing, unreadable

IMAGE_SIZE = 28  # pixels per side
CHUNK = 1 << 20  # bytes per read: memory grows with what a file holds, not with what it claims


@dataclass(frozen=True)
class Source:
    """One data set of this format: its folder under the root, its mirror, its classes."""

    folder: str
    mirror: str
    md5: dict[str, str]
    classes: tuple[str, ...]

    def load(self, root: Path, download: bool) -> tuple[Split, Split, tuple[str, ...]]:
        """Training and test images (N, 1, 28, 28), and the names of the classes.

        Raises:
            DataError: a file is missing, damaged or cannot be fetched.
        """
        if download:
            self._download(root / self.folder)
        return self._split(root, "train"), self._split(root, "t10k"), self.classes

    def _split(self, root: Path, part: str) -> Split:
        image_path = self._find(root / self.folder / f"{part}-images-idx3-ubyte")
        label_path = self._find(root / self.folder / f"{part}-labels-idx1-ubyte")
        images = read_idx(image_path, dims=3)
        labels = read_idx(label_path, dims=1)
        if images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE):
            height, width = images.shape[1:]
            raise damaged(image_path, f"has images of {height} x {width} pixels, not 28 x 28")
        if len(images) != len(labels):
            raise damaged(
                label_path,
                f"has {len(labels)} labels for {len(images)} images in {image_path.name}",
            )
        if labels.max() >= len(self.classes):
            raise damaged(
                label_path, f"has a label {labels.max().item()}, beyond {len(self.classes) - 1}"
            )
        return Split(images.unsqueeze(1), labels.long())

    def _find(self, path: Path) -> Path:
        """``path`` or, where only that exists, ``path`` + ".gz"."""
        for candidate in (path, packed(path)):
            if is_file(candidate):
                return candidate
        raise missing(path, self.folder)

    def _download(self, folder: Path) -> None:
        """Fetch the packed files that are in ``folder`` neither packed nor plain."""
        for name, md5 in self.md5.items():
            path = folder / name
            if not is_file(path) and not is_file(packed(path)):
                url = f"{self.mirror}{name}.gz"
                write_atomically(packed(path), fetch(url, md5, folder))


def packed(path: Path) -> Path:
    """``path`` + ".gz"."""
    return path.with_name(path.name + ".gz")


def read_idx(path: Path, dims: int) -> torch.Tensor:
    """Read an IDX file of bytes, plain or gzip (by its name), with ``dims`` dimensions.

    Format: the magic 0 0 8 dims, then ``dims`` extents as big-endian 32-bit numbers, then the
    bytes in row-major order (https://yann.lecun.com/exdb/mnist).

    Returns:
        a uint8 tensor with the extents that the header states, none of them 0

    Raises:
        DataError: unreadable, not such a file, too short, too long, larger than any such data
            set, or broken compression.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            header = stream.read(4 * (1 + dims))
            if len(header) < 4 * (1 + dims):
                raise damaged(path, f"is truncated: only {len(header)} bytes")
            if header[:4] != bytes((0, 0, 8, dims)):
                raise damaged(path, f"is not an IDX file of bytes in {dims} dimensions")
            extents = [
                int.from_bytes(header[at : at + 4], "big") for at in range(4, len(header), 4)
            ]
            if 0 in extents:
                raise damaged(path, f"is empty: its header states the extents {extents}")
            if math.prod(extents) > LIMIT:
                raise damaged(path, f"claims {math.prod(extents):,} bytes, above {LIMIT:,}")
            content = _read_exactly(stream, math.prod(extents), path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(path, f"is not intact gzip ({error})") from error
    except OSError as error:
        raise unreadable(path, error) from error
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
        raise damaged(path, f"is truncated: {len(content):,} of {size:,} bytes after the header")
    if len(content) > size:
        raise damaged(path, f"is too long: more than the {size:,} bytes its header states")
    return content


MNIST = Source(
    "MNIST/raw",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    {
        "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    tuple("0123456789"),
)
FASHION_MNIST = Source(
    "FashionMNIST/raw",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    {
        "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
     "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)  # fmt: skip
