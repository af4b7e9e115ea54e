"""CIFAR-10 and CIFAR-100, python and binary files: what they say, and damaged ones."""

import os
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from datafiles import (
    SMALL_CIFAR,
    assert_sentence,
    batch,
    class_names,
    for_everybody,
    python2_dumps,
    without_rights,
    write_cifar_binary,
    write_cifar_python,
)

from fastconv import data
from fastconv.data import reading

NAMES = tuple(SMALL_CIFAR)
DUMPS = {f"protocol {p}": partial(pickle.dumps, protocol=p) for p in (3, 4, 5)} | {
    "python 2": python2_dumps
}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    for name, source in SMALL_CIFAR.items():
        monkeypatch.setitem(data.LOADERS, name, source.load)


def expected(name: str, part: str) -> tuple[torch.Tensor, list[int]]:
    source = SMALL_CIFAR[name]
    batches = [batch(source, file) for file in getattr(source.python, part)]
    pixels = np.concatenate([pixels for pixels, _ in batches])
    return torch.from_numpy(pixels).view(-1, 3, 32, 32), [
        i for _, labels in batches for i in labels
    ]


def check(name: str, root: Path) -> None:
    source = SMALL_CIFAR[name]
    loaded = data.load(name, root)
    for part in ("train", "test"):
        split = getattr(loaded, part)
        images, labels = expected(name, part)
        assert torch.equal(split.images, images) and split.images.dtype == torch.uint8
        assert split.labels.tolist() == labels and split.labels.dtype == torch.int64
        assert split.images.is_contiguous()
    assert loaded.classes == tuple(class_names(source))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dumps", DUMPS.values(), ids=DUMPS.keys())
def test_python_version(tmp_path: Path, name: str, dumps):
    write_cifar_python(tmp_path, SMALL_CIFAR[name], dumps)
    check(name, tmp_path)


def test_python2_pickles_of_these_tests_are_pickles():
    pixels, labels = batch(SMALL_CIFAR["cifar10"], "test_batch")
    record = {"labels": labels, "data": pixels}
    known = pickle.loads(python2_dumps(record), encoding="latin1")
    assert known["labels"] == labels and np.array_equal(known["data"], pixels)


@pytest.mark.parametrize("name", NAMES)
def test_arrays_in_fortran_order(tmp_path: Path, name: str):
    def dumps(record: dict) -> bytes:
        if "data" in record:
            record["data"] = np.asfortranarray(record["data"])
        return python2_dumps(record)

    write_cifar_python(tmp_path, SMALL_CIFAR[name], dumps)
    check(name, tmp_path)


def test_keys_as_bytes(tmp_path: Path):
    def dumps(record: dict) -> bytes:
        names = {"label_names": [n.encode() for n in record.get("label_names", [])]}
        changed = names if "label_names" in record else record
        return pickle.dumps({key.encode(): value for key, value in changed.items()})

    write_cifar_python(tmp_path, SMALL_CIFAR["cifar10"], dumps)
    check("cifar10", tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_binary_version(tmp_path: Path, name: str):
    write_cifar_binary(tmp_path, SMALL_CIFAR[name])
    check(name, tmp_path)


@pytest.mark.parametrize("incomplete", ["python", "binary"])
def test_the_complete_version_is_read(tmp_path: Path, incomplete: str):
    source = SMALL_CIFAR["cifar10"]
    folders = {
        "python": write_cifar_python(tmp_path, source),
        "binary": write_cifar_binary(tmp_path, source),
    }
    next(folders[incomplete].iterdir()).unlink()
    check("cifar10", tmp_path)


def test_original_sizes():
    for source in (data.cifar.CIFAR10, data.cifar.CIFAR100):
        layout = source.binary
        assert sum(source.binary_records[name] for name in layout.train) == 50_000
        assert sum(source.binary_records[name] for name in layout.test) == 10_000


def change(**changes: object):
    """A pickled batch with some entries replaced, or left out where the value is None."""

    def damage(content: bytes) -> bytes:
        record = {**pickle.loads(content), **changes}
        return pickle.dumps({key: value for key, value in record.items() if value is not None})

    return damage


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


LABELS = [0] * 20
PYTHON_DAMAGES = {
    "empty": (lambda b: b"", "is empty"),
    "cut in the pixels": (lambda b: b[: len(b) // 2], "truncated or damaged"),
    "cut at the end": (lambda b: b[:-1], "truncated or damaged"),
    "no pickle": (lambda b: b"\x89PNG\r\n\x1a\n" + b, "is not a pickle"),
    "goes on": (lambda b: b + b"\0\0", "goes on for 2 bytes"),
    "a list": (lambda b: pickle.dumps([1]), "something other than a dict"),
    "a function": (lambda b: pickle.dumps(Evil()), "would call 'posix.mkdir'"),
    "a function inside": (change(labels=[Evil()]), "would call 'posix.mkdir'"),
    "eval": (lambda b: b"\x80\x02cbuiltins\neval\nX\x01\0\0\0001\x85R.", "builtins.eval"),
    "no pixels": (change(data=None), "no array 'data'"),
    "pixels in a list": (change(data=[[0] * 3072] * 20), "no array 'data'"),
    "floats": (change(data=np.zeros((20, 3072))), "not of uint8"),
    "objects": (change(data=np.array([None] * 4)), "not of uint8"),
    "no labels": (change(labels=None), "'labels'"),
    "19 labels": (change(labels=LABELS[1:]), "19 labels for 20 images"),
    "label 10": (change(labels=[*LABELS[1:], 10]), "no number in 0 .. 9"),
    "label -1": (change(labels=[*LABELS[1:], -1]), "no number in 0 .. 9"),
    "label True": (change(labels=[*LABELS[1:], True]), "no number in 0 .. 9"),
    "label text": (change(labels=[*LABELS[1:], "1"]), "no number in 0 .. 9"),
    "small images": (change(data=np.zeros((20, 768), np.uint8)), "(20, 768), not (N, 3072)"),
    "three dimensions": (change(data=np.zeros((20, 3, 1024), np.uint8)), "not (N, 3072)"),
    "no images": (change(data=np.zeros((0, 3072), np.uint8), labels=[]), "(0, 3072)"),
    "claims more": (lambda b: b.replace(b"K\x14M\0\x0c", b"K\x15M\0\x0c"), "of another shape"),
}


@pytest.mark.parametrize("damage, reason", PYTHON_DAMAGES.values(), ids=PYTHON_DAMAGES.keys())
def test_damaged_python_file(monkeypatch, tmp_path: Path, damage, reason: str):
    path = write_cifar_python(tmp_path, SMALL_CIFAR["cifar10"]) / "data_batch_3"
    content = path.read_bytes()
    path.write_bytes(damage(content))
    assert path.read_bytes() != content
    monkeypatch.chdir(tmp_path)
    with pytest.raises(data.DataError) as error:
        data.load("cifar10", tmp_path)
    assert_sentence(error, path, reason, "--download")
    assert not (tmp_path / "evil").exists()


NAME_DAMAGES = {
    "nine": ["a", "b", "c", "d", "e", "f", "g", "h", "i"],
    "twice": ["a", "a", "c", "d", "e", "f", "g", "h", "i", "j"],
    "a number": [0, "b", "c", "d", "e", "f", "g", "h", "i", "j"],
    "escape sequence": ["\x1b[2J", "b", "c", "d", "e", "f", "g", "h", "i", "j"],
    "not a list": "abcdefghij",
}


@pytest.mark.parametrize("names", NAME_DAMAGES.values(), ids=NAME_DAMAGES.keys())
def test_damaged_names(tmp_path: Path, names: object):
    path = write_cifar_python(tmp_path, SMALL_CIFAR["cifar10"]) / "batches.meta"
    path.write_bytes(pickle.dumps({"label_names": names}))
    with pytest.raises(data.DataError) as error:
        data.load("cifar10", tmp_path)
    assert_sentence(error, path, "10 different names")


BINARY_DAMAGES = {
    "empty": ("test_batch.bin", lambda b: b"", "is empty"),
    "one byte short": ("test_batch.bin", lambda b: b[:-1], "61,459 bytes long instead of 61,460"),
    "one image short": ("test_batch.bin", lambda b: b[3073:], "58,387 bytes long"),
    "one image long": ("data_batch_2.bin", lambda b: b + b[:3073], "64,533 bytes long"),
    "label 10": ("data_batch_2.bin", lambda b: b"\x0a" + b[1:], "label 10, beyond 9"),
    "label 255": ("data_batch_2.bin", lambda b: b"\xff" + b[1:], "label 255, beyond 9"),
    "names": ("batches.meta.txt", lambda b: b[:20], "10 different names"),
}


@pytest.mark.parametrize("name, damage, reason", BINARY_DAMAGES.values(), ids=BINARY_DAMAGES.keys())
def test_damaged_binary_file(tmp_path: Path, name: str, damage, reason: str):
    path = write_cifar_binary(tmp_path, SMALL_CIFAR["cifar10"]) / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(data.DataError) as error:
        data.load("cifar10", tmp_path)
    assert_sentence(error, path, reason, "--download")


def test_missing(tmp_path: Path):
    with pytest.raises(data.DataError) as error:
        data.load("cifar10", tmp_path)
    assert_sentence(error, tmp_path / "cifar-10-batches-py", "missing", "--download")
    path = write_cifar_binary(tmp_path, SMALL_CIFAR["cifar10"]) / "data_batch_4.bin"
    path.unlink()
    with pytest.raises(data.DataError) as error:
        data.load("cifar10", tmp_path)
    assert_sentence(error, path, "missing", "cifar-10-batches-bin")


@pytest.mark.parametrize("what", ["file", "folder"])
def test_unreadable(what: str):
    with for_everybody() as root:
        folder = write_cifar_python(root, SMALL_CIFAR["cifar10"])
        path = folder / "data_batch_1"
        with without_rights(path if what == "file" else folder):
            with pytest.raises(data.DataError) as error:
                data.load("cifar10", root)
    assert_sentence(error, path, "cannot be read", "Permission denied")


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path):
    path = write_cifar_python(tmp_path, SMALL_CIFAR["cifar10"]) / "data_batch_1"
    with open(path, "wb") as stream:
        stream.truncate(reading.LIMIT + 1)  # sparse: takes no room
    with pytest.raises(data.DataError) as error:
        data.load("cifar10", tmp_path)
    assert_sentence(error, path, "larger than")
