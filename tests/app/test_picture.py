"""One decoder: a data folder, ``fastconv filters`` and ``fastconv show`` see a file alike."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch
from commands import error_of
from PIL import Image

from fastconv import data, plots
from fastconv.cli import main
from fastconv.data import picture
from fastconv.train import train

HEIGHT, WIDTH = 45, 38
NOISE = numpy.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=numpy.uint8)
COLOUR, OTHER = Image.fromarray(NOISE[..., :3]), Image.fromarray(255 - NOISE[..., :3])


def oriented(value: int) -> Callable[[Path], None]:
    exif = Image.Exif()
    exif[0x0112] = value
    return lambda path: COLOUR.save(path.with_suffix(".jpg"), exif=exif)


def clear_palette(path: Path) -> None:
    COLOUR.quantize(16).save(path, transparency=3)


def animated(suffix: str, **options) -> Callable[[Path], None]:
    return lambda path: COLOUR.save(
        path.with_suffix(suffix), save_all=True, append_images=[OTHER], **options
    )


# How a file of each kind is written; the suffix may change.
KINDS = {
    **{f"orientation {value}": oriented(value) for value in range(1, 9)},
    "RGBA": lambda path: Image.fromarray(NOISE).save(path),
    "LA": lambda path: Image.fromarray(NOISE).convert("LA").save(path),
    "clear colour": lambda path: COLOUR.save(path, transparency=tuple(NOISE[0, 0, :3].tolist())),
    "clear grey": lambda path: COLOUR.convert("L").save(path, transparency=9),
    "palette": lambda path: COLOUR.quantize(16).save(path),
    "clear palette": clear_palette,
    "grey": lambda path: COLOUR.convert("L").save(path),
    "bits": lambda path: COLOUR.convert("1").save(path),
    "CMYK": lambda path: COLOUR.convert("CMYK").save(path.with_suffix(".tif")),
    "CMYK JPEG": lambda path: COLOUR.convert("CMYK").save(path.with_suffix(".jpg")),
    "YCbCr": lambda path: COLOUR.convert("YCbCr").save(path.with_suffix(".tif")),
    "animated GIF": animated(".gif"),
    "animated PNG": animated(".png"),
    "animated WebP": animated(".webp", lossless=True),
}


def write(folder: Path, kind: Callable[[Path], None]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    kind(folder / "a.png")
    (path,) = folder.iterdir()
    return path


def data_folder(root: Path, kind: Callable[[Path], None]) -> Path:
    """A data set with one picture of the kind to test; returns that picture."""
    for name in ("cat", "dog"):
        write(root / "train" / name, KINDS["palette"])
    return write(root / "test" / "cat", kind)


@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_same_pixels(tmp_path: Path, kind, grey: bool):
    path = data_folder(tmp_path, kind)
    seen = picture.read(path, grey)
    size, channels = tuple(seen.shape[1:]), 1 if grey else 3
    assert sorted(size) == [WIDTH, HEIGHT]
    (image,) = data.load("folder", tmp_path, size=size, channels=channels).test.images[
        torch.tensor([0])
    ]
    assert torch.equal(image, seen.expand(channels, *size))
    loaded = picture.load(path, grey)
    assert loaded.shape == seen.shape and torch.equal(loaded.rows(3, 9), seen[:, 3:9])


def answer_of(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^.{8}(\w+) +([\d.]+)%$", text, re.MULTILINE)


@pytest.fixture(scope="module", params=["lenet5", "cifar_net"], ids=["grey model", "colour model"])
def run(request, tmp_path_factory) -> Path:
    """The folder of a run that has learned a little of a folder of pictures."""
    root = tmp_path_factory.mktemp("pictures")
    data_folder(root, KINDS["RGBA"])
    train(request.param, "folder", layers="fastconv", root=root, out=root / "run", epochs=3)
    return root / "run"


@pytest.mark.parametrize("kind", ["orientation 6", "RGBA", "LA", "CMYK", "animated GIF"])
def test_same_prediction(run: Path, tmp_path: Path, kind: str, capsys, monkeypatch):
    for drawing in ("features", "filters"):
        monkeypatch.setattr(plots, drawing, lambda *_: None)
    path = data_folder(tmp_path, KINDS[kind])
    options = ("--root", str(tmp_path), "--out", str(tmp_path / "out"))
    assert main(["show", str(run), "test:0", *options]) == 0
    known = answer_of(capsys.readouterr().out)
    assert main(["show", str(run), str(path), *options]) == 0
    assert answer_of(capsys.readouterr().out) == known and len(known) == 2


def test_transparent_parts_are_white(tmp_path: Path):
    pixels = numpy.array([[[9, 9, 9, 0], [200, 100, 0, 255]]], dtype=numpy.uint8)
    path = data_folder(tmp_path, lambda path: Image.fromarray(pixels).save(path))
    wanted = [[[255, 200]], [[255, 100]], [[255, 0]]]
    assert picture.read(path).tolist() == wanted
    images = data.load("folder", tmp_path, size=(1, 2)).test.images
    assert images[torch.tensor([0])][0].tolist() == wanted


def test_sixteen_bits_are_refused_alike(tmp_path: Path, capsys):
    deep = Image.fromarray(NOISE[..., 0].astype(numpy.uint16) * 256)
    path = data_folder(tmp_path, deep.save)
    images = data.load("folder", tmp_path).test.images
    for read in (picture.read, lambda _: images[torch.tensor([0])]):
        with pytest.raises(data.DataError, match="more than 8 bits per channel: convert it"):
            read(path)
    assert main(["filters", str(path), "--out", str(tmp_path / "out.png")]) == 1
    assert "more than 8 bits per channel" in error_of(capsys)
