"""``fastconv filters`` and what is under it: kernels, picture files, the arithmetic, the PNG."""

import re
from pathlib import Path

import numpy
import pytest
import torch
from commands import error_of
from PIL import Image
from reference import dot_bound
from torch.nn import functional as F

import fastconv
from fastconv.cli import main
from fastconv.data import DataError, picture
from fastconv.plots import picture_kernels as filters

GEOMETRIES = [(1, 0, 1), (1, 1, 1), (2, 3, 1), (3, 2, 2), (1, 5, 5)]  # stride, padding, dilation


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    """The middle of a photograph, (3, 61, 67), 0 .. 1."""
    return picture.read("china.jpg")[:, 180:241, 290:357].float() / 255


@pytest.mark.parametrize("name", filters.NAMES)
def test_kernel_of_every_name(name: str):
    kernel = filters.parse(name)
    assert kernel.name == name
    assert kernel.weight.dim() == 3 and kernel.weight.dtype == torch.float32
    keeps_brightness = name in {"identity", "blur", "gaussian", "motion", "sharpen", "emboss"}
    assert kernel.is_picture == keeps_brightness
    for weight in kernel.weight:
        assert weight.sum().item() == pytest.approx(1 if keeps_brightness else 0, abs=1e-6)


def test_kernels_of_a_size():
    assert torch.equal(filters.parse("box-4").weight, torch.full((1, 4, 4), 1 / 16))
    assert torch.equal(filters.parse("motion-3").weight[0], torch.eye(3) / 3)
    gaussian = filters.parse("gaussian-7").weight[0]
    assert torch.equal(gaussian, gaussian.T) and torch.equal(gaussian, gaussian.flip(0))
    sigma = 7 / 6
    falls = torch.tensor([-(1**2) / (2 * sigma**2), -(3**2) / (2 * sigma**2)]).exp()
    assert gaussian[3, [4, 6]] / gaussian[3, 3] == pytest.approx(falls.numpy(), rel=1e-6)


def test_array_as_text():
    kernel = filters.parse(" [[0, 1.5], (-2, 1e3), [.5, 3]] ")
    assert kernel.weight.tolist() == [[[0, 1.5], [-2, 1000], [0.5, 3]]]


@pytest.mark.parametrize(
    "text, words",
    [
        ("blurr", "no kernel 'blurr': choose from blur"),
        ("", "no kernel ''"),
        ("box-0", "it must be 1 to 1024"),
        ("box-1025", "it must be 1 to 1024"),
        ("box--3", "no kernel 'box--3'"),
        ("[[1, 2", "can be read"),
        ("[[1, 2], [x, 3]]", "can be read"),
        ("[[1, 2], __import__('os')]", "can be read"),
        ("[" * 5000, "can be read"),
        ("[[" + "9" * 6000 + "]]", "can be read"),
        ("[1, 2, 3]", "not a 2-D array"),
        ("[]", "not a 2-D array"),
        ("[[]]", "not a 2-D array"),
        ("[[1], []]", "not a 2-D array"),
        ("[[1, 2], [3]]", "rows of the kernel have 1 to 2 numbers"),
        ("[[1, 'a']]", "holds 'a', which is not a number"),
        ("[[1, True]]", "holds True, which is not a number"),
        ("[[1, [2]]]", r"holds \[2\], which is not a number"),
        ("[[1, 1e39]]", "holds 1e[+]39, which is no finite float32"),
        ("[[1, -1e999]]", "holds -inf, which is no finite float32"),
        ("[[1" + "0" * 400 + "]]", "which is no finite float32"),
        ("[" + "[0]," * 1025 + "]", "has 1025 x 1 numbers: at most 1024 x 1024"),
    ],
)
def test_kernel_that_is_none(text: str, words: str):
    with pytest.raises(filters.FilterError, match=words) as caught:
        filters.parse(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("stride, padding, dilation", GEOMETRIES)
@pytest.mark.parametrize(
    "text", ["sharpen", "emboss", "gaussian-9", "[[1, 2, 3, 4], [5, 6, 7, 8]]"]
)
def test_apply_is_the_correlation(photo, text, stride, padding, dilation):
    kernel = filters.parse(text)
    fastconv.handovers(reset=True)
    got = filters.apply(photo, kernel, stride, padding, dilation)
    assert fastconv.handovers() == {}
    weight = kernel.weight.double().unsqueeze(1)
    channels = photo.double().unsqueeze(1)  # each is an image of its own
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    want = F.conv2d(channels, weight, **options).squeeze(1)
    size = F.conv2d(channels, weight.abs(), **options).squeeze(1)
    assert got.shape == want.shape
    assert ((got - want).abs() <= dot_bound(weight.numel(), size, torch.float32)).all()


def test_magnitude_of_two(photo):
    x, y = (filters.apply(photo, filters.parse(f"sobel-{axis}"), 2, 1) for axis in "xy")
    assert torch.equal(filters.apply(photo, filters.parse("sobel"), 2, 1), torch.hypot(x, y))


def test_edges_answer_to_their_direction_only():
    step = torch.zeros(1, 8, 8)
    step[:, :, 4:] = 1
    vertical, horizontal = (
        filters.parse("edge-vertical"),
        filters.parse("edge-horizontal"),
    )
    assert filters.apply(step, vertical)[0, 0].tolist() == [0, 0, 3, 3, 0, 0]
    assert filters.apply(step, horizontal).abs().max() == 0
    assert filters.apply(step.mT, horizontal)[0, :, 0].tolist() == [0, 0, 3, 3, 0, 0]


@pytest.mark.parametrize(
    "kernel, geometry, words",
    [
        ("blur", (0, 0, 1), "stride is 0"),
        ("blur", (1, -1, 1), "padding is -1"),
        ("blur", (1, 0, 0), "dilation is 0"),
        ("box-62", (1, 0, 1), "covers 62 x 62 pixels, more than the 61 x 67 of the image"),
        ("box-72", (1, 5, 1), "covers 72 x 72 pixels, more than the 71 x 77"),
        ("blur", (1, 0, 31), "covers 63 x 63 pixels with dilation 31, more than the 61 x 67"),
        ("blur", (1, 10_000, 1), "more than 100,000,000: use less padding"),
    ],
)
def test_geometry_that_does_not_fit(photo, kernel, geometry, words):
    with pytest.raises(filters.FilterError, match=words):
        filters.apply(photo, filters.parse(kernel), *geometry)


def test_largest_kernel_that_fits(photo):
    assert filters.apply(photo, filters.parse("box-61")).shape == (3, 1, 7)


def save(path: Path, mode: str, *colours, **options) -> Path:
    """A picture of two pixels beside each other."""
    image = Image.new(mode, (2, 1))
    image.putdata(colours)
    image.save(path, **options)
    return path


def test_pictures_in_every_mode(tmp_path: Path):
    grey = save(tmp_path / "grey.png", "L", 7, 200)
    assert picture.read(grey).tolist() == [[[7, 200]]]
    colour = save(tmp_path / "colour.bmp", "RGB", (1, 2, 3), (250, 128, 0))
    assert picture.read(colour).tolist() == [[[1, 250]], [[2, 128]], [[3, 0]]]
    assert picture.read(colour, grey=True).shape == (1, 1, 2)
    clear = save(tmp_path / "clear.png", "RGBA", (9, 9, 9, 0), (9, 9, 9, 255))
    assert picture.read(clear).tolist() == [[[255, 9]]] * 3
    bits = save(tmp_path / "bits.png", "1", 0, 255)
    assert picture.read(bits).tolist() == [[[0, 255]]]
    turned = Image.Exif()
    turned[0x0112] = 3  # upside down
    upright = save(tmp_path / "turned.png", "L", 7, 200, exif=turned)
    assert picture.read(upright).tolist() == [[[200, 7]]]


def test_files_that_are_no_pictures(tmp_path: Path, monkeypatch):
    whole = tmp_path / "whole.png"
    noise = numpy.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=numpy.uint8)
    Image.fromarray(noise).save(whole)
    (tmp_path / "half.png").write_bytes(whole.read_bytes()[:5000])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("not a picture")
    Image.fromarray(noise[..., 0].astype(numpy.uint16) * 256).save(tmp_path / "deep.png")
    for name, words in {
        "none.png": "none.png is missing: give a picture file, or china.jpg or flower.jpg",
        ".": "is a folder",
        "half.png": "half.png is not an intact picture",
        "empty.jpg": r"empty.jpg is not an intact picture \(unknown format\)",
        "text.jpg": r"text.jpg is not an intact picture \(unknown format\)",
        "deep.png": "deep.png has more than 8 bits per channel",
    }.items():
        with pytest.raises(DataError, match=words):
            picture.read(tmp_path / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 64 - 1)
    with pytest.raises(DataError, match="whole.png has more than 4,095 pixels"):
        picture.read(whole)


def pixels_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        return image.size


def test_command_prints_arithmetic_that_is_right(tmp_path: Path, capsys):
    out = tmp_path / "new" / "blur.png"
    options = ("--kernel", "box-5", "[[1, -1, 2]]", "--stride", "3", "--padding", "4")
    fastconv.handovers(reset=True)
    assert main(["filters", *options, "--dilation", "2", "--out", str(out), "--dpi", "40"]) == 0
    assert fastconv.handovers() == {}
    text = capsys.readouterr().out
    assert "china.jpg: 427 x 640 pixels, 3 channels\nbox-5:\n" in text
    assert "  OH = (427 + 2*4 - 2*(5 - 1) - 1) // 3 + 1 = 143\n" in text
    assert "  OW = (640 + 2*4 - 2*(3 - 1) - 1) // 3 + 1 = 215\n" in text
    sums = re.findall(r"O[HW] = (.*) = (\d+)", text)
    assert len(sums) == 4 and all(eval(left) == int(right) for left, right in sums)
    products = [3 * 143 * 214 * 25, 3 * 145 * 215 * 3]
    found = re.findall(r"  ([\d,]+) multiply-adds in \d+\.\d ms\n", text)
    assert [int(number.replace(",", "")) for number in found] == products
    assert text.endswith(f"{out} shows input, kernel and output\n")
    width, height = pixels_of(out)
    assert width > 400 and height > 200


@pytest.mark.parametrize(
    "options",
    [("box-50",), ("box-51", "--padding", "25"), ("box-25", "--stride", "3")],
)
def test_the_large_kernels(options: tuple[str, ...], tmp_path: Path, capsys):
    out = tmp_path / "large.png"
    assert main(["filters", "--kernel", *options, "--out", str(out), "--dpi", "30"]) == 0
    sizes = {"box-50": "378 591", "box-51": "427 640", "box-25": "135 206"}
    assert " ".join(re.findall(r"= (\d+)\n", capsys.readouterr().out)) == sizes[options[0]]
    pixels_of(out)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("nowhere.png",), "nowhere.png is missing"),
        (("--kernel", "[[1,2],[3]]"), "all need the same"),
        (("--kernel", "box-500"), "use a smaller kernel or more padding"),
        (("--stride", "0"), "stride is 0"),
        (("--dpi", "0"), "dpi is 0: it must be 20 to 600"),
        (("--out", "/dev/null/x.png"), "cannot write /dev/null"),
    ],
)
def test_command_says_what_is_wrong(arguments, words, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["filters", *arguments]) == 1
    assert words in error_of(capsys)
    assert not list(tmp_path.iterdir())
