"""Small data sets on disk in the formats of the real ones, for the tests of data sets."""

import os
import pickle
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastconv.data import cifar

IDX_FILES = {  # name: (magic, number of images, is it images)
    "train-images-idx3-ubyte": (b"\0\0\x08\x03", 30, True),
    "train-labels-idx1-ubyte": (b"\0\0\x08\x01", 30, False),
    "t10k-images-idx3-ubyte": (b"\0\0\x08\x03", 20, True),
    "t10k-labels-idx1-ubyte": (b"\0\0\x08\x01", 20, False),
}
# CIFAR with few images, whose binary files may therefore be short
BATCH = 20
SMALL_CIFAR = {
    "cifar10": replace(
        cifar.CIFAR10, binary_records=dict.fromkeys(cifar.CIFAR10.binary_records, BATCH)
    ),
    "cifar100": replace(
        cifar.CIFAR100, binary_records=dict.fromkeys(cifar.CIFAR100.binary_records, BATCH)
    ),
}


def assert_sentence(error: pytest.ExceptionInfo, *parts: object) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message


def idx_content(name: str) -> bytes:
    """A small file in the format of MNIST: pixel i is i % 251, label i is i % 10."""
    magic, count, is_images = IDX_FILES[name]
    if is_images:
        pixels = bytes(i % 251 for i in range(count * 28 * 28))
        return magic + struct.pack(">III", count, 28, 28) + pixels
    return magic + struct.pack(">I", count) + bytes(i % 10 for i in range(count))


def write_idx(folder: Path) -> Path:
    """All files of a small MNIST; returns their folder."""
    folder.mkdir(parents=True)
    for name in IDX_FILES:
        (folder / name).write_bytes(idx_content(name))
    return folder


def batch(source: cifar.Source, name: str) -> tuple[np.ndarray, list[int]]:
    """Pixels (20, 3072) and labels that depend on the name of the file."""
    random = np.random.default_rng(sum(name.encode()))
    labels = [int(label) for label in random.integers(0, source.class_count, BATCH)]
    return random.integers(0, 256, (BATCH, 3072), dtype=np.uint8), labels


def class_names(source: cifar.Source) -> list[str]:
    return [f"class_{index}" for index in range(source.class_count)]


def write_cifar_python(
    root: Path, source: cifar.Source, dumps: Callable[[dict], bytes] = pickle.dumps
) -> Path:
    """All files of the python version; returns their folder."""
    folder = root / source.python.folder
    folder.mkdir(parents=True)
    for name in (*source.python.train, *source.python.test):
        pixels, labels = batch(source, name)
        record = {"batch_label": name, source.labels_key: labels, "data": pixels}
        (folder / name).write_bytes(dumps(record))
    (folder / source.python.names).write_bytes(dumps({source.names_key: class_names(source)}))
    return folder


def write_cifar_binary(root: Path, source: cifar.Source) -> Path:
    """All files of the binary version, with the content of the python one; returns the folder."""
    folder = root / source.binary.folder
    folder.mkdir(parents=True)
    python = (*source.python.train, *source.python.test)
    for name, twin in zip((*source.binary.train, *source.binary.test), python, strict=True):
        pixels, labels = batch(source, twin)
        coarse = bytes(source.label_bytes - 1)
        records = [coarse + bytes([i]) + p.tobytes() for i, p in zip(labels, pixels, strict=True)]
        (folder / name).write_bytes(b"".join(records))
    (folder / source.binary.names).write_text("\n".join(class_names(source)) + "\n\n")
    return folder


def python2_dumps(record: dict) -> bytes:
    """``record`` as cPickle of Python 2 with numpy 1 wrote it (protocol 2), as in the originals."""
    return b"\x80\x02" + _python2(record) + b"."


def _python2(value: object) -> bytes:
    if isinstance(value, dict):
        items = b"".join(_python2(part) for item in value.items() for part in item)
        return b"}q\x01(" + items + b"u"
    if isinstance(value, list):
        return b"]q\x02(" + b"".join(_python2(item) for item in value) + b"e"
    if isinstance(value, int):
        return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)
    if isinstance(value, np.ndarray):
        shape = b"".join(_python2(extent) for extent in value.shape) + b"\x86"
        fortran = b"\x88" if value.flags.f_contiguous else b"\x89"
        raw = value.tobytes("A")
        return (
            b"cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85q\x05"
            b"U\x01bq\x06\x87q\x07Rq\x08(K\x01" + shape + b"cnumpy\ndtype\nq\x09U\x02u1q\x0a"
            b"K\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01|q\x0dNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
            b"K\x00tq\x0eb" + fortran + b"T" + struct.pack("<i", len(raw)) + raw + b"tq\x0fb"
        )
    return b"U" + bytes([len(value)]) + value.encode("latin-1")


@contextmanager
def without_rights(path: Path) -> Iterator[None]:
    """``path`` as somebody who may not read it sees it; for root that is another user."""
    mode = stat.S_IMODE(path.stat().st_mode)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # nobody
    try:
        yield
    finally:
        os.seteuid(user)
        path.chmod(mode)


@contextmanager
def for_everybody() -> Iterator[Path]:
    """A temporary folder that every user may enter; pytest's own are for one user."""
    with tempfile.TemporaryDirectory(prefix="fastconv-test-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
