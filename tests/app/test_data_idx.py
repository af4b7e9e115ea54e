"""MNIST and FashionMNIST from IDX files, plain or packed: what they say, and damaged ones."""

import gzip
import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest
import torch
from datafiles import (
    IDX_FILES,
    assert_sentence,
    for_everybody,
    idx_content,
    without_rights,
    write_idx,
)

from fastconv import data
from fastconv.data import reading

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """The folder MNIST/raw under tmp_path with small plain files."""
    return write_idx(tmp_path / "MNIST" / "raw")


def root_of(raw: Path) -> Path:
    return raw.parent.parent


def stored_pixels(count: int) -> torch.Tensor:
    pixels = torch.tensor([i % 251 for i in range(count * 28 * 28)], dtype=torch.uint8)
    return pixels.view(count, 1, 28, 28)


def test_mnist_is_what_the_files_say(raw: Path):
    mnist = data.load("mnist", root_of(raw))
    assert torch.equal(mnist.train.images, stored_pixels(30))
    assert torch.equal(mnist.test.images, stored_pixels(20))
    assert mnist.train.labels.tolist() == [i % 10 for i in range(30)]
    assert mnist.test.labels.dtype == torch.int64
    assert mnist.classes == tuple("0123456789")


def test_fashion_mnist_has_its_own_folder_and_classes(tmp_path: Path):
    write_idx(tmp_path / "FashionMNIST" / "raw")
    fashion = data.load("fashion_mnist", tmp_path)
    assert torch.equal(fashion.train.images, stored_pixels(30))
    assert fashion.classes[0] == "T-shirt/top" and fashion.classes[9] == "Ankle boot"
    assert len(set(fashion.classes)) == 10
    with pytest.raises(data.DataError, match="MNIST/raw"):
        data.load("mnist", tmp_path)


def test_packed_equals_plain(raw: Path):
    plain = data.load("mnist", root_of(raw))
    for name in IDX_FILES:
        (raw / f"{name}.gz").write_bytes(gzip.compress((raw / name).read_bytes()))
        (raw / name).unlink()
    packed = data.load("mnist", root_of(raw))
    assert torch.equal(packed.train.images, plain.train.images)
    assert torch.equal(packed.test.labels, plain.test.labels)


DAMAGES = {
    "empty": (IMAGES, lambda b: b"", "truncated"),
    "half a header": (IMAGES, lambda b: b[:9], "truncated"),
    "half the pixels": (IMAGES, lambda b: b[: len(b) // 2], "truncated"),
    "one byte short": (LABELS, lambda b: b[:-1], "truncated: 29 of 30 bytes"),
    "one byte long": (LABELS, lambda b: b + b"\0", "too long"),
    "wrong magic": (IMAGES, lambda b: b"\x89PNG" + b[4:], "not an IDX file"),
    "labels as images": (IMAGES, lambda b: idx_content(LABELS), "not an IDX file"),
    "a million images": (IMAGES, lambda b: b[:4] + b"\0\x0f\x42\x40" + b[8:], "truncated"),
    "four billion images": (IMAGES, lambda b: b[:4] + b"\xff" * 4 + b[8:], "claims"),
    "no images": (IMAGES, lambda b: b[:4] + bytes(4) + b[8:16], "empty"),
    "wide images": (
        IMAGES,
        lambda b: b[:8] + struct.pack(">II", 14, 56) + b[16:],
        "14 x 56 pixels",
    ),
    "fewer labels": (
        LABELS,
        lambda b: b[:4] + struct.pack(">I", 29) + b[8:-1],
        "29 labels for 30 images",
    ),
    "label 10": (LABELS, lambda b: b[:-1] + b"\x0a", "label 10"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("name, damage, reason", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_file(raw: Path, packed: bool, name: str, damage, reason: str):
    content = damage(idx_content(name))
    path = raw / name
    if packed:
        path.unlink()
        path = raw / f"{name}.gz"
        content = gzip.compress(content)
    path.write_bytes(content)
    with pytest.raises(data.DataError) as error:
        data.load("mnist", root_of(raw))
    assert_sentence(error, path, reason, "--download")


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b"plain text, no gzip",
        lambda b: b[: len(b) // 2],
        lambda b: b[:200] + bytes(50) + b[250:],
        lambda b: b[:-8] + bytes(8),
    ],
    ids=["not gzip", "cut off", "damaged middle", "wrong checksum"],
)
def test_damaged_compression(raw: Path, damage):
    path = raw / f"{IMAGES}.gz"
    path.write_bytes(damage(gzip.compress(idx_content(IMAGES))))
    (raw / IMAGES).unlink()
    with pytest.raises(data.DataError) as error:
        data.load("mnist", root_of(raw))
    assert_sentence(error, path, "--download")


def zeros_packed(header: bytes, mebibytes: int) -> bytes:
    """A gzip file of a header and zeros, made without holding them."""
    packer = zlib.compressobj(wbits=31)
    chunks = [packer.compress(header)]
    chunks += [packer.compress(bytes(1 << 20)) for _ in range(mebibytes)]
    return b"".join([*chunks, packer.flush()])


def test_bomb_is_not_unpacked(raw: Path):
    (raw / IMAGES).unlink()
    path = raw / f"{IMAGES}.gz"
    header = idx_content(IMAGES)[:16]
    path.write_bytes(zeros_packed(header, 64))  # 64 MiB in 64 KiB; the header states 23,520 bytes
    tracemalloc.start()
    with pytest.raises(data.DataError) as error:
        data.load("mnist", root_of(raw))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert_sentence(error, path, "too long")
    assert peak < 8 << 20

    header = header[:4] + struct.pack(">III", 1 << 20, 1 << 5, 1 << 6)  # 2 GiB, stated honestly
    path.write_bytes(zeros_packed(header, 1))
    with pytest.raises(data.DataError) as error:
        data.load("mnist", root_of(raw))
    assert_sentence(error, path, f"{2 << 30:,}", f"above {reading.LIMIT:,}")


@pytest.mark.parametrize("name", IDX_FILES)
def test_missing_file(raw: Path, name: str):
    (raw / name).unlink()
    with pytest.raises(data.DataError) as error:
        data.load("mnist", root_of(raw))
    assert_sentence(error, raw / name, "missing", "--download", "FASTCONV_DATA", "MNIST/raw")


def test_a_folder_instead_of_a_file_is_missing(raw: Path):
    (raw / IMAGES).unlink()
    (raw / IMAGES).mkdir()
    with pytest.raises(data.DataError, match="missing"):
        data.load("mnist", root_of(raw))


@pytest.mark.parametrize("what", ["file", "folder"])
def test_unreadable(what: str):
    with for_everybody() as root:
        folder = write_idx(root / "MNIST" / "raw")
        with without_rights(folder / IMAGES if what == "file" else folder):
            with pytest.raises(data.DataError) as error:
                data.load("mnist", root)
    assert_sentence(error, folder / IMAGES, "cannot be read", "Permission denied", "permissions")
