"""Data sets: splits, normalisation, IDX files whole and damaged, downloads. Public names only."""

import gzip
import os
import struct
import time
from pathlib import Path

import pytest
import torch

from fastconv import data

FILES = {  # name: (magic, number of images, is it images)
    "train-images-idx3-ubyte": (b"\0\0\x08\x03", 30, True),
    "train-labels-idx1-ubyte": (b"\0\0\x08\x01", 30, False),
    "t10k-images-idx3-ubyte": (b"\0\0\x08\x03", 20, True),
    "t10k-labels-idx1-ubyte": (b"\0\0\x08\x01", 20, False),
}
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx_content(name: str) -> bytes:
    """A small file in the format of MNIST: pixel i is i % 251, label i is i % 10."""
    magic, count, is_images = FILES[name]
    if is_images:
        pixels = bytes(i % 251 for i in range(count * 28 * 28))
        return magic + struct.pack(">III", count, 28, 28) + pixels
    return magic + struct.pack(">I", count) + bytes(i % 10 for i in range(count))


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """The folder MNIST/raw under tmp_path with small plain files."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(idx_content(name))
    return folder


def root_of(raw: Path) -> Path:
    return raw.parent.parent


def assert_sentence(error: pytest.ExceptionInfo, *parts: object) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message


def assert_normalised(images: torch.Tensor) -> None:
    assert images.dtype == torch.float32
    assert abs(images.double().mean().item()) < 1e-5
    assert abs(images.double().std(correction=0).item() - 1) < 1e-4


def test_digits_shapes_and_normalisation():
    digits = data.load("digits")
    assert digits.name == "digits"
    assert digits.train_images.shape == (1438, 1, 32, 32)
    assert digits.test_images.shape == (359, 1, 32, 32)
    assert digits.train_labels.shape == (1438,) and digits.test_labels.shape == (359,)
    assert digits.train_labels.dtype == digits.test_labels.dtype == torch.int64
    assert digits.classes == tuple("0123456789")
    assert_normalised(digits.train_images)


def test_digits_split_is_stratified():
    digits = data.load("digits")
    train = digits.train_labels.bincount(minlength=10)
    test = digits.test_labels.bincount(minlength=10)
    assert torch.equal(test, ((train + test) / 5).round().long())


def test_digits_split_is_the_same_each_time_and_leaves_the_generator_alone():
    before = torch.get_rng_state()
    first, second = data.load("digits"), data.load("digits")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.train_images, second.train_images)
    assert torch.equal(first.test_labels, second.test_labels)
    assert len(torch.cat([first.train_images, first.test_images]).unique(dim=0)) == 1797


def test_unknown_data_set():
    with pytest.raises(ValueError, match="cifar0.*digits, mnist"):
        data.load("cifar0")


def test_mnist_pads_with_background_and_keeps_labels(raw: Path):
    mnist = data.load("mnist", root_of(raw))
    assert mnist.train_images.shape == (30, 1, 32, 32)
    assert mnist.test_images.shape == (20, 1, 32, 32)
    assert mnist.train_labels.tolist() == [i % 10 for i in range(30)]
    assert_normalised(mnist.train_images)

    stored = torch.tensor([i % 251 for i in range(30 * 28 * 28)], dtype=torch.float64)
    padded = torch.zeros(30, 1, 32, 32, dtype=torch.float64)
    padded[:, 0, 2:30, 2:30] = stored.view(30, 28, 28)
    expected = (padded - padded.mean()) / padded.std(correction=0)
    torch.testing.assert_close(mnist.train_images.double(), expected, rtol=1e-5, atol=1e-5)


def test_mnist_packed_equals_plain(raw: Path):
    plain = data.load("mnist", root_of(raw))
    for name in FILES:
        (raw / f"{name}.gz").write_bytes(gzip.compress((raw / name).read_bytes()))
        (raw / name).unlink()
    packed = data.load("mnist", root_of(raw))
    assert torch.equal(packed.train_images, plain.train_images)
    assert torch.equal(packed.test_labels, plain.test_labels)


def test_root_from_argument_then_environment_then_default(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("FASTCONV_DATA", str(tmp_path))
    assert data.data_root("here") == Path("here")
    assert data.data_root() == tmp_path
    monkeypatch.delenv("FASTCONV_DATA")
    assert data.data_root() == Path("data")


DAMAGES = {
    "empty": (IMAGES, lambda b: b"", "truncated"),
    "half a header": (IMAGES, lambda b: b[:9], "truncated"),
    "half the pixels": (IMAGES, lambda b: b[: len(b) // 2], "truncated"),
    "one byte short": (LABELS, lambda b: b[:-1], "truncated: 29 of 30 bytes"),
    "one byte long": (LABELS, lambda b: b + b"\0", "too long"),
    "wrong magic": (IMAGES, lambda b: b"\x89PNG" + b[4:], "not an IDX file"),
    "labels as images": (IMAGES, lambda b: idx_content(LABELS), "not an IDX file"),
    "four billion images": (IMAGES, lambda b: b[:4] + b"\xff" * 4 + b[8:], "truncated"),
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


@pytest.mark.parametrize("name", FILES)
def test_missing_file(raw: Path, name: str):
    (raw / name).unlink()
    with pytest.raises(data.DataError) as error:
        data.load("mnist", root_of(raw))
    assert_sentence(error, raw / name, "missing", "--download", "FASTCONV_DATA")


@pytest.fixture
def mirror(monkeypatch, raw: Path, tmp_path: Path) -> Path:
    """A mirror in a folder, with the small files packed and their md5 sums expected."""
    import hashlib

    folder = tmp_path / "mirror"
    folder.mkdir()
    sums = {}
    for name in FILES:
        content = gzip.compress((raw / name).read_bytes())
        (folder / f"{name}.gz").write_bytes(content)
        sums[f"{name}.gz"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(data, "MNIST_MIRROR", folder.as_uri() + "/")
    monkeypatch.setattr(data, "MNIST_MD5", sums)
    return folder


def test_download_fetches_what_is_missing(mirror: Path, raw: Path, tmp_path: Path):
    expected = data.load("mnist", root_of(raw))
    fresh = tmp_path / "fresh"
    loaded = data.load("mnist", fresh, download=True)
    assert torch.equal(loaded.train_images, expected.train_images)
    names = sorted(path.name for path in (fresh / "MNIST" / "raw").iterdir())
    assert names == sorted(f"{name}.gz" for name in FILES)

    data.load("mnist", root_of(raw), download=True)  # nothing is missing
    assert sorted(path.name for path in raw.iterdir()) == sorted(FILES)


def test_download_refuses_a_wrong_checksum(mirror: Path, tmp_path: Path):
    (mirror / f"{LABELS}.gz").write_bytes(b"something else")
    fresh = tmp_path / "fresh"
    with pytest.raises(data.DataError) as error:
        data.load("mnist", fresh, download=True)
    assert_sentence(error, f"{LABELS}.gz", "md5", fresh)
    assert not (fresh / "MNIST" / "raw" / f"{LABELS}.gz").exists()


def test_download_without_network(monkeypatch, tmp_path: Path):
    # Port 9 of this machine: refused at once, without leaving it.
    monkeypatch.setattr(data, "MNIST_MIRROR", "http://127.0.0.1:9/")
    with pytest.raises(data.DataError) as error:
        data.load("mnist", tmp_path, download=True)
    assert_sentence(error, "cannot download http://127.0.0.1:9/", "network", tmp_path)
    assert not list(tmp_path.rglob("*.gz"))


def test_real_mnist():
    raw = data.data_root() / "MNIST" / "raw"
    if "FASTCONV_DATA" not in os.environ or not list(raw.glob("train-images-idx3-ubyte*")):
        pytest.skip("FASTCONV_DATA does not name a folder that holds MNIST/raw")
    data.load("mnist")  # the first read may come from a cold disk
    start = time.perf_counter()
    mnist = data.load("mnist")
    seconds = time.perf_counter() - start
    assert mnist.train_images.shape == (60000, 1, 32, 32)
    assert mnist.test_images.shape == (10000, 1, 32, 32)
    assert mnist.train_labels.bincount().tolist()[:3] == [5923, 6742, 5958]
    assert mnist.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert_normalised(mnist.train_images)
    assert seconds < 1
