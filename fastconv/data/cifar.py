"""CIFAR-10 and CIFAR-100: 50,000 + 10,000 colour images, 32 x 32 pixels, python or binary files.

Layer: a data set; torch, numpy and the standard library.
Format: https://www.cs.toronto.edu/~kriz/cifar.html. A picture is 3,072 bytes, [IC][IH][IW].
"""

import io
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch

from fastconv.data import unpickle
from fastconv.data.dataset import DataError, Split
from fastconv.data.download import fetch
from fastconv.data.files import write_atomically
from fastconv.data.reading import LIMIT, damaged, is_file, read_bytes

SHAPE = (3, 32, 32)  # IC, IH, IW
PIXELS = 3 * 32 * 32  # bytes per picture


@dataclass(frozen=True)
class Layout:
    """The files of one version of a data set, in a folder under the root."""

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str  # the file with the names of the classes


@dataclass(frozen=True)
class Source:
    """One data set of this format.

    Args:
        python, binary: its two versions; the first that is complete is read.
        url, md5: the archive of the python version.
        names_key, labels_key: in the pickled dicts.
        class_count: how many classes there are.
        label_bytes: before the pixels of a binary record, the last one being the class.
        binary_records: in each binary file, the names of the files as keys.
    """

    python: Layout
    binary: Layout
    url: str
    md5: str
    names_key: str
    labels_key: str
    class_count: int
    label_bytes: int
    binary_records: dict[str, int]

    def load(self, root: Path, download: bool) -> tuple[Split, Split, tuple[str, ...]]:
        """Training and test images (N, 3, 32, 32), and the names of the classes.

        Raises:
            DataError: a file is missing, damaged or cannot be fetched.
        """
        versions = (self.python, self.binary)
        complete = [layout for layout in versions if all(_present(root, layout))]
        if download and not complete:
            self._download(root)
            complete = [self.python]
        begun = [layout for layout in versions if any(_present(root, layout))]
        layout = (complete or begun or versions)[0]
        python = layout is self.python
        read_batch = self._read_python if python else self._read_binary
        read_names = self._python_names if python else self._binary_names
        splits = []
        for files in (layout.train, layout.test):
            batches = [read_batch(root / layout.folder / name) for name in files]
            images = numpy.concatenate([images for images, _ in batches])
            labels = torch.cat([labels for _, labels in batches])
            images = torch.from_numpy(numpy.ascontiguousarray(images)).view(-1, *SHAPE)
            splits.append(Split(images, labels))
        return *splits, read_names(root / layout.folder / layout.names)

    def _read_python(self, path: Path) -> tuple[numpy.ndarray, torch.Tensor]:
        """Pixels (N, 3072) and labels (N,) of a pickled dict."""
        record = _unpickled(path)
        data, labels = record.get("data"), record.get(self.labels_key)
        if not isinstance(data, unpickle.Array) or not isinstance(labels, list):
            raise damaged(path, f"has no array 'data' and list {self.labels_key!r}")
        try:
            images = data.numpy()
        except unpickle.UnpickleError as error:
            raise damaged(path, str(error)) from error
        if images.ndim != 2 or images.shape[1] != PIXELS or not len(images):
            raise damaged(path, f"has images of shape {images.shape}, not (N, {PIXELS})")
        if len(images) != len(labels):
            raise damaged(path, f"has {len(labels)} labels for {len(images)} images")
        for label in labels:
            if type(label) is not int or not 0 <= label < self.class_count:
                raise damaged(path, f"has a label that is no number in 0 .. {self.class_count - 1}")
        return images, torch.tensor(labels)

    def _read_binary(self, path: Path) -> tuple[numpy.ndarray, torch.Tensor]:
        """Pixels (N, 3072) and labels (N,) of records of label bytes and pixels."""
        content = read_bytes(path, self.binary.folder)
        record = self.label_bytes + PIXELS
        size = self.binary_records[path.name] * record
        if len(content) != size:
            raise damaged(path, f"is {len(content):,} bytes long instead of {size:,}")
        records = numpy.frombuffer(content, numpy.uint8).reshape(-1, record)
        labels = torch.from_numpy(records[:, self.label_bytes - 1].astype(numpy.int64))
        if labels.max() >= self.class_count:
            raise damaged(path, f"has a label {labels.max().item()}, beyond {self.class_count - 1}")
        return records[:, self.label_bytes :], labels

    def _python_names(self, path: Path) -> tuple[str, ...]:
        return self._checked_names(path, _unpickled(path).get(self.names_key))

    def _binary_names(self, path: Path) -> tuple[str, ...]:
        text = read_bytes(path, self.binary.folder).decode("latin-1")
        return self._checked_names(path, text.split())

    def _checked_names(self, path: Path, names: object) -> tuple[str, ...]:
        if isinstance(names, list) and len(names) == self.class_count:
            names = [n.decode("latin-1") if isinstance(n, bytes) else n for n in names]
            if all(isinstance(n, str) and n.isprintable() and n for n in names):
                if len(set(names)) == len(names):
                    return tuple(names)
        raise damaged(path, f"does not list {self.class_count} different names of classes")

    def _download(self, root: Path) -> None:
        """Fetch the archive and write the files of the python version, no others."""
        folder = root / self.python.folder
        archive = fetch(self.url, self.md5, folder)
        wanted = {f"{self.python.folder}/{name}": name for name in _files(self.python)}
        try:
            with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as members:
                for member in members:
                    # The names in the archive choose among known files; they are never a path.
                    if member.name not in wanted or not member.isreg():
                        continue
                    name = wanted.pop(member.name)
                    if member.size > LIMIT:
                        raise tarfile.ReadError(f"{name} claims {member.size:,} bytes")
                    write_atomically(folder / name, members.extractfile(member).read())
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            raise DataError(f"the archive {self.url} cannot be unpacked ({error})") from error
        if wanted:
            raise DataError(f"the archive {self.url} lacks {', '.join(wanted)}")


def _files(layout: Layout) -> tuple[str, ...]:
    return (*layout.train, *layout.test, layout.names)


def _present(root: Path, layout: Layout) -> list[bool]:
    return [is_file(root / layout.folder / name) for name in _files(layout)]


def _unpickled(path: Path) -> dict:
    """The dict in a pickle of plain data.

    Raises:
        DataError: missing, unreadable, damaged, or something else is in it.
    """
    try:
        record = unpickle.loads(read_bytes(path, path.parent.name))
    except unpickle.UnpickleError as error:
        raise damaged(path, str(error)) from error
    if not isinstance(record, dict):
        raise damaged(path, "is a pickle of something other than a dict")
    return record


CIFAR10 = Source(
    python=Layout(
        "cifar-10-batches-py",
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        ("test_batch",),
        "batches.meta",
    ),
    binary=Layout(
        "cifar-10-batches-bin",
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        ("test_batch.bin",),
        "batches.meta.txt",
    ),
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    md5="c58f30108f718f92721af3b95e74349a",
    names_key="label_names",
    labels_key="labels",
    class_count=10,
    label_bytes=1,
    binary_records=dict.fromkeys(
        [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"], 10_000
    ),
)
CIFAR100 = Source(
    python=Layout("cifar-100-python", ("train",), ("test",), "meta"),
    binary=Layout("cifar-100-binary", ("train.bin",), ("test.bin",), "fine_label_names.txt"),
    url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    md5="eb9058c3a382ffc7106e4002c42a8d85",
    names_key="fine_label_names",
    labels_key="fine_labels",
    class_count=100,
    label_bytes=2,
    binary_records={"train.bin": 50_000, "test.bin": 10_000},
)
