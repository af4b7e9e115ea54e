"""Winograd where its tiles mix what plain sums keep apart: NaN, infinity and huge values reach the
results that they are a term of and no others, and results without terms are exactly zero."""

import math

import pytest
import torch
import torch.nn.functional as F
from cases import ConvCase
from raw_kernels import DIRECTIONS, Conv, in_memory, supporting

from fastconv import functional

LAYOUTS = ["nchw", "nhwc"]
# Lanes = channels in both layouts; lanes = tiles in NCHW; 5x5 alike.
CASES = [
    ConvCase("3x3", 2, 5, 17, 19, 6, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("3x3_tiles", 2, 5, 20, 56, 6, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("3x3_private", 2, 260, 12, 12, 260, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("5x5", 2, 6, 11, 13, 9, 5, 5, padding=(2, 2, 2, 2)),
    ConvCase("5x5_tiles", 2, 5, 16, 16, 18, 5, 5, padding=(2, 2, 2, 2)),
]


def with_values(case: ConvCase, layout: str, values: dict[str, list]) -> tuple[Conv, dict]:
    """The case with `values`, (place, value) of x or grad_y, and its exact results."""
    conv = Conv(case, torch.float32, layout)
    x, w, bias, grad_y = conv.tensors
    tensors = {"x": x, "grad_y": grad_y}
    for name, places in values.items():
        for place, value in places:
            tensors[name][place] = value
    conv.x, conv.grad_y = in_memory(x, conv.last[0]), in_memory(grad_y, conv.last[2])
    return conv, conv.reference(x, w, bias, grad_y)


def same_kind(ours: torch.Tensor, exact: torch.Tensor) -> None:
    """NaN, infinities of either sign and finite numbers are in the same places."""
    exact = exact.float()
    assert torch.equal(ours.isnan(), exact.isnan())
    assert torch.equal(ours[ours.isinf()], exact[exact.isinf()])
    assert torch.equal(ours.isinf(), exact.isinf())


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_nan_and_infinity_reach_what_they_are_a_term_of(case, layout, direction):
    values = {
        "x": [((0, 1, 8, 6), math.nan), ((1, 2, 0, 10), math.inf)],
        "grad_y": [((0, 1, 8, 6), math.inf), ((0, 2, 9, 3), math.nan)],
    }
    conv, exact = with_values(case, layout, values)
    for name, result in conv.run(direction, "winograd").items():
        assert not result.isfinite().all() and result.isfinite().any(), "the case shows something"
        same_kind(result, exact[name])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_huge_pixel_without_gradient_leaves_no_trace(case, layout):
    reach = case.KH // 2
    masked = (0, slice(None), slice(8 - reach, 9 + reach), slice(6 - reach, 7 + reach))
    for value in (9.97e36, -1e30, 1e25):
        conv, exact = with_values(
            case, layout, {"x": [((0, 1, 8, 6), value)], "grad_y": [(masked, 0.0)]}
        )
        for name, result in conv.run("backward_weight", "winograd").items():
            assert (result - exact[name]).abs().max() <= 1e-5 * exact[name].abs().max()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("k", [3, 5])
def test_sums_that_fit_do_not_overflow_on_the_way(k, layout):
    channels, last = 32, torch.channels_last if layout == "nhwc" else torch.contiguous_format
    x = torch.full((1, channels, 8, 8), 1e38).contiguous(memory_format=last)
    w = torch.full((channels, channels, k, k), 1 / (channels * k * k))
    y = functional.conv2d(x, w, padding=k // 2)
    exact = F.conv2d(x.double(), w.double(), padding=k // 2)
    assert (y.double() / exact - 1).abs().max() <= 2**-23 * channels * k * k


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_same_bits_for_any_thread_count_also_then(direction):
    conv, _ = with_values(CASES[1], "nchw", {"x": [((1, 2, 3, 4), math.nan)]})
    conv.grad_y[0, 1, 2, 3] = math.inf
    first = conv.run(direction, "winograd", 1)
    for threads in (2, 3):
        for name, result in conv.run(direction, "winograd", threads).items():
            assert torch.equal(result.nan_to_num(7), first[name].nan_to_num(7))


PADDED = [
    ConvCase("1x1_map", 2, 64, 1, 1, 64, 5, 5, padding=(2, 2, 2, 2)),
    ConvCase("2x2_map", 2, 40, 2, 2, 64, 5, 5, padding=(2, 2, 2, 2)),
    ConvCase("1x3_map", 3, 20, 1, 3, 24, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("beyond_the_kernel", 2, 9, 4, 5, 20, 3, 3, padding=(5, 4, 6, 3)),
    ConvCase("beyond_the_kernel_tiles", 2, 9, 14, 16, 20, 3, 3, padding=(5, 4, 6, 3)),
    ConvCase("groups", 2, 24, 1, 2, 18, 5, 5, padding=(4, 2, 3, 2), groups=3),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", PADDED, ids=lambda c: c.name)
def test_what_sees_only_padding_is_exact_in_every_path(case, layout):
    conv = Conv(case, torch.float32, layout)
    x, w, bias, grad_y = conv.tensors
    terms = conv.reference(x.abs(), w.abs(), torch.zeros_like(bias), grad_y.abs())
    seen = 0
    for direction in DIRECTIONS:
        for path in supporting(direction, conv.shape):
            for name, result in conv.run(direction, path).items():
                alone = bias[:, None, None].expand_as(result) if name == "forward" else 0 * result
                empty = terms[name] == 0
                assert torch.equal(result[empty], alone[empty]), f"{path}: {name}"
                seen += int(empty.sum())
    assert seen > 0
