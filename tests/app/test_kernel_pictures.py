"""What the pictures of kernels show: the value of a constant kernel, and how large an output is."""

import pytest
import torch
from matplotlib.figure import Figure

from fastconv.plots.kernels import Kernel, _draw_at_one_scale, _draw_kernel


def drawn(weight: torch.Tensor):
    axes = Figure().subplots()
    _draw_kernel(axes, Kernel("a kernel", weight.unsqueeze(0)))
    return axes


@pytest.mark.parametrize("value", [1 / 625, -2.0])
def test_a_constant_kernel_shows_its_cells_and_its_value(value):
    axes = drawn(torch.full((25, 25), value))
    assert [text.get_text() for text in axes.texts] == [f"all 625:\n{value:.3g}"]
    assert sum(len(lines.get_segments()) for lines in axes.collections) == 24 + 24
    (image,) = axes.images
    # Halfway between white and the darkest colour.
    assert image.norm(value) == pytest.approx(0.75 if value > 0 else 0.25)


def test_a_small_constant_kernel_has_a_word_in_each_cell():
    axes = drawn(torch.full((3, 3), 1 / 9))
    assert [text.get_text() for text in axes.texts] == ["0.11"] * 9
    assert {text.get_color() for text in axes.texts} == {"black"}


def test_other_large_kernels_say_their_range():
    axes = drawn(torch.arange(900.0).view(30, 30))
    assert axes.get_xlabel() == "0 .. 9e+02" and not axes.texts and not axes.collections


def test_input_and_output_are_drawn_at_one_scale():
    """The larger of them fills its axes; the other lies in the middle, in a frame of that size."""
    shapes = [(1, 427, 640), (1, 135, 206), (1, 441, 600)]
    panels = Figure().subplots(1, len(shapes))
    for axes, (_, H, W) in zip(panels, shapes, strict=True):
        axes.imshow(torch.zeros(H // 5, W // 5).numpy())  # whatever it is drawn from
    _draw_at_one_scale(list(zip(panels, shapes, strict=True)))
    for axes, (_, H, W) in zip(panels, shapes, strict=True):
        left, right = axes.get_xlim()
        bottom, top = axes.get_ylim()
        assert (right - left, bottom - top) == (640, 441)
        assert (right + left, bottom + top) == (W, H)
        assert tuple(axes.images[0].get_extent()) == (0, W, H, 0)
        assert len(axes.patches) == 1
