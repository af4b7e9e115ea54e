"""Kernels over large pictures, band by band: the same numbers, and little memory."""

import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from reference import dot_bound

from fastconv import plots
from fastconv.plots import bands
from fastconv.plots import picture_kernels as filters

# stride, padding, dilation; the last has bands that lie in the padding
GEOMETRIES = [(1, 0, 1), (1, 1, 1), (2, 3, 1), (3, 2, 2), (1, 5, 5), (1, 80, 1)]


def rows_of(image: torch.Tensor, asked: list | None = None) -> bands.Rows:
    def rows(start: int, end: int) -> torch.Tensor:
        assert 0 <= start <= end <= image.shape[1]
        if asked is not None:
            asked.append(end - start)
        return image[:, start:end]

    return rows


@pytest.mark.parametrize("shape", [(1, 1, 400), (3, 400, 2), (1, 1, 1), (3, 40, 50)])
def test_picture_of_any_proportion(shape, tmp_path: Path):
    rows = rows_of(torch.randint(0, 256, shape, dtype=torch.uint8))
    kernels = [filters.parse(name) for name in ("identity", "sobel", "laplacian", "box-30")]
    outputs = [(kernel, bands.apply(rows, shape, kernel, 100, padding=15)[0]) for kernel in kernels]
    plots.kernels(bands.view(rows, shape, 100), outputs, "title", tmp_path / "any.png", dpi=30)
    with Image.open(tmp_path / "any.png") as image:
        image.load()
        assert max(image.size) < 1000


@pytest.mark.parametrize("stride, padding, dilation", GEOMETRIES)
@pytest.mark.parametrize("text", ["sharpen", "sobel", "gaussian-5"])
def test_bands_are_parts_of_the_whole(monkeypatch, text, stride, padding, dilation):
    """Of a few rows each, and of none but padding."""
    image = torch.randint(0, 256, (3, 61, 67), dtype=torch.uint8)
    kernel, geometry = filters.parse(text), (stride, padding, dilation)
    whole = filters.apply(image / 255, kernel, *geometry)
    monkeypatch.setattr(bands, "BAND", 5 * whole[:, 0].numel())
    asked: list[int] = []
    names = dict(zip(("stride", "padding", "dilation"), geometry, strict=True))
    view, seconds = bands.apply(rows_of(image, asked), image.shape, kernel, 1000, **names)
    assert len(asked) > 1 and max(asked) < 61 and seconds > 0
    assert view.shape == whole.shape
    size = filters.apply(
        image / 255, filters.Kernel(text, kernel.weight.abs()), *geometry
    )  # both are off by the bound of a dot product; a magnitude by that of its two parts
    bound = 4 * dot_bound(kernel.weight[0].numel(), size, torch.float32)
    if kernel.is_picture:
        assert ((view.pixels - whole).abs() <= bound).all()
        beyond = (view.pixels < -1e-4) | (view.pixels > 1 + 1e-4)
        assert view.cut == beyond.sum().item() / beyond.numel()
    else:
        assert (
            (view.pixels[0] - whole.mean(0)).abs() <= bound.mean(0) + 2**-22 * size.mean(0)
        ).all()


def test_squares_become_single_pixels():
    image = torch.randint(0, 256, (3, 45, 61), dtype=torch.uint8)
    for view in (
        bands.view(rows_of(image), image.shape, 20),
        bands.apply(rows_of(image), image.shape, filters.parse("identity"), 20, padding=1)[0],
    ):
        assert view.shape == (3, 45, 61) and view.pixels.shape == (3, 15, 21)
        torch.testing.assert_close(
            view.pixels[:, 2, 3], image[:, 6:9, 9:12].float().mean((1, 2)) / 255
        )
        torch.testing.assert_close(
            view.pixels[:, 14, 20], image[:, 42:, 60:].float().mean((1, 2)) / 255
        )
    edges = filters.parse("sobel-x")
    view, _ = bands.apply(rows_of(image), image.shape, edges, 20, padding=1)
    whole = filters.apply(image / 255, edges, padding=1).mean(0)
    torch.testing.assert_close(view.pixels, whole[None, ::3, ::3])


MEMORY = """
import resource, sys
from fastconv.cli import main
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
options = ["filters", "--kernel", "sharpen", "sobel", "--dpi", "50", "--out", sys.argv[3]]
assert main([*options, sys.argv[1]]) == 0
before = peak()
assert main([*options, sys.argv[2]]) == 0
print(peak() - before)
"""


def test_memory_for_a_large_picture(tmp_path: Path):
    """Beyond what a small one takes: Pillow's 4 bytes a pixel, and ten bands of an output."""
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    tile = numpy.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=numpy.uint8)
    Image.fromarray(numpy.tile(tile, (11, 11, 1))).save(small)
    Image.fromarray(numpy.tile(tile, (40, 40, 1))).save(large)
    ran = subprocess.run(
        [sys.executable, "-c", MEMORY, small, large, tmp_path / "out.png"],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout.splitlines()[-1]) < 4 * 4000 * 4000 + 10 * 4 * bands.BAND
