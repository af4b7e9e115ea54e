"""Downloads, from a folder that plays the mirror: whole and checked, or nothing."""

import gzip
import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from datafiles import (
    IDX_FILES,
    SMALL_CIFAR,
    assert_sentence,
    idx_content,
    write_cifar_binary,
    write_cifar_python,
)

from fastconv import data
from fastconv.data import cifar, download, idx

LABELS = "train-labels-idx1-ubyte"


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def mirror(monkeypatch, tmp_path: Path) -> Path:
    """A mirror of MNIST in a folder, with small packed files and their md5 sums expected."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    packed = {name: gzip.compress(idx_content(name)) for name in IDX_FILES}
    for name, content in packed.items():
        (folder / f"{name}.gz").write_bytes(content)
    sums = {name: md5(content) for name, content in packed.items()}
    source = replace(idx.MNIST, mirror=folder.as_uri() + "/", md5=sums)
    monkeypatch.setitem(data.LOADERS, "mnist", source.load)
    return folder


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_fetches_what_is_missing(mirror: Path, tmp_path: Path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / LABELS).write_bytes(idx_content(LABELS))
    mnist = data.load("mnist", tmp_path, download=True)
    assert mnist.train.labels.tolist() == [i % 10 for i in range(30)]
    fetched = [f"{name}.gz" for name in IDX_FILES if name != LABELS]
    assert names_in(raw) == sorted([LABELS, *fetched])
    for path in mirror.iterdir():
        path.unlink()
    data.load("mnist", tmp_path, download=True)  # nothing is missing


def test_nothing_is_fetched_unasked(mirror: Path, tmp_path: Path):
    with pytest.raises(data.DataError, match="--download"):
        data.load("mnist", tmp_path)
    assert not (tmp_path / "MNIST").exists()


def test_refuses_a_wrong_checksum(mirror: Path, tmp_path: Path):
    (mirror / f"{LABELS}.gz").write_bytes(b"something else")
    with pytest.raises(data.DataError) as error:
        data.load("mnist", tmp_path, download=True)
    assert_sentence(error, f"{LABELS}.gz", "md5", tmp_path)
    assert f"{LABELS}.gz" not in names_in(tmp_path / "MNIST" / "raw")


def test_refuses_a_file_without_end(monkeypatch, mirror: Path, tmp_path: Path):
    monkeypatch.setattr(download, "LIMIT", 1000)
    monkeypatch.setattr(download, "CHUNK", 100)
    (mirror / "train-images-idx3-ubyte.gz").write_bytes(bytes(100_000))
    read = []
    monkeypatch.setattr(download.hashlib, "md5", _recording(hashlib.md5, read))
    with pytest.raises(data.DataError):
        data.load("mnist", tmp_path, download=True)
    assert read[0] <= 1100


def _recording(function, lengths: list[int]):
    def call(content: bytes, **options: object):
        lengths.append(len(content))
        return function(content, **options)

    return call


def test_without_network(monkeypatch, tmp_path: Path):
    # Port 9 of this machine: refused at once, without leaving it.
    source = replace(idx.MNIST, mirror="http://127.0.0.1:9/")
    monkeypatch.setitem(data.LOADERS, "mnist", source.load)
    with pytest.raises(data.DataError) as error:
        data.load("mnist", tmp_path, download=True)
    assert_sentence(error, "cannot download http://127.0.0.1:9/", "network", tmp_path)
    assert not list(tmp_path.rglob("*.gz"))


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def member(name: str, content: bytes, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


@pytest.fixture
def batches(tmp_path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    """What belongs into a small archive of CIFAR-10."""
    folder = write_cifar_python(tmp_path / "made", SMALL_CIFAR["cifar10"])
    return [member(f"{folder.name}/{p.name}", p.read_bytes()) for p in sorted(folder.iterdir())]


@pytest.fixture
def publish(monkeypatch, tmp_path: Path):
    """Puts an archive where the source of CIFAR-10 expects it, with its md5."""

    def publish(content: bytes) -> cifar.Source:
        path = tmp_path / "cifar.tar.gz"
        path.write_bytes(content)
        source = replace(SMALL_CIFAR["cifar10"], url=path.as_uri(), md5=md5(content))
        monkeypatch.setitem(data.LOADERS, "cifar10", source.load)
        return source

    return publish


def test_cifar(publish, batches, tmp_path: Path):
    source = publish(archive(*batches))
    fresh = tmp_path / "fresh"
    loaded = data.load("cifar10", fresh, download=True)
    expected = data.load("cifar10", tmp_path / "made")
    assert torch.equal(loaded.train.images, expected.train.images)
    assert loaded.classes == expected.classes
    assert names_in(fresh / source.python.folder) == names_in(
        tmp_path / "made" / source.python.folder
    )
    Path(source.url.removeprefix("file://")).unlink()
    data.load("cifar10", fresh, download=True)  # nothing is missing


def test_cifar_is_not_fetched_where_the_binary_version_is(publish, tmp_path: Path):
    publish(b"")
    write_cifar_binary(tmp_path / "here", SMALL_CIFAR["cifar10"])
    assert len(data.load("cifar10", tmp_path / "here", download=True).train) == 100


def test_hostile_archive_writes_known_files_only(publish, batches, tmp_path: Path):
    folder = "cifar-10-batches-py"
    link = {"type": tarfile.SYMTYPE, "linkname": str(tmp_path / "outside")}
    publish(
        archive(
            member("../evil", b"evil"),
            member(f"{folder}/../../evil", b"evil"),
            member(str(tmp_path / "evil"), b"evil"),
            member(f"{folder}/evil", b"evil"),
            member("link", b"", **link),
            member(f"link/{folder}/data_batch_1", b"evil"),
            *batches,
        )
    )
    fresh = tmp_path / "fresh"
    data.load("cifar10", fresh, download=True)
    assert names_in(fresh) == [folder]
    assert names_in(fresh / folder) == names_in(tmp_path / "made" / folder)
    assert not list(tmp_path.rglob("evil")) and not (tmp_path / "outside").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_archive_with_something_else_in_place_of_a_file(publish, batches, tmp_path: Path, kind):
    info, _ = batches[1]
    batches[1] = member(info.name, b"", type=kind, linkname="/etc/passwd")
    publish(archive(*batches))
    with pytest.raises(data.DataError) as error:
        data.load("cifar10", tmp_path / "fresh", download=True)
    assert_sentence(error, "cifar.tar.gz", info.name)
    assert not (tmp_path / "fresh" / info.name).exists()


def test_archive_that_claims_a_large_file(monkeypatch, publish, batches, tmp_path: Path):
    monkeypatch.setattr(cifar, "LIMIT", 1000)
    publish(archive(*batches))
    with pytest.raises(data.DataError) as error:
        data.load("cifar10", tmp_path / "fresh", download=True)
    assert_sentence(error, "cifar.tar.gz", "cannot be unpacked", "claims")


ARCHIVES = {
    "no archive": lambda b: b"not a tar file",
    "cut off": lambda b: b[: len(b) // 2],
    "damaged": lambda b: b[:1000] + bytes(1000) + b[2000:],
    "empty": lambda b: b"",
    "gzip of text": lambda b: gzip.compress(b"text" * 1000),
}


@pytest.mark.parametrize("damage", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_damaged_archive(publish, batches, tmp_path: Path, damage):
    publish(damage(archive(*batches)))
    with pytest.raises(data.DataError) as error:
        data.load("cifar10", tmp_path / "fresh", download=True)
    assert_sentence(error, "cifar.tar.gz")


def test_archive_with_a_wrong_checksum(publish, batches, tmp_path: Path):
    source = publish(archive(*batches))
    Path(source.url.removeprefix("file://")).write_bytes(archive(*batches[1:]))
    with pytest.raises(data.DataError) as error:
        data.load("cifar10", tmp_path / "fresh", download=True)
    assert_sentence(error, "cifar.tar.gz", "md5")
    assert not (tmp_path / "fresh").exists()
