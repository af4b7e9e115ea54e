"""Grouped convolution: extents around the lanes and tiles, every kind of group against float64, and
padding that is never multiplied. Run once per instruction set by test_isa.py."""

import pytest
import torch
from cases import ConvCase
from raw_kernels import DIRECTIONS, NUMBERS, Conv, supporting
from reference import dot_bound

from fastconv.core.extension import _C

LANES = _C.lanes(0)
# Channels of a group: whole groups in a vector, and groups of one, two and three vectors.
WHOLE_GROUPS = [g for g in (2, 4, 8) if g < LANES]
GROUPS = [*WHOLE_GROUPS, LANES, 2 * LANES]
# 7 columns are a tile, 3 a narrow one; rows of taps are cut into threes.
EXTENTS = [((1, 1), 1), ((2, 3), 2), ((5, 6), 3), ((3, 7), 5), ((4, 8), 4), ((3, 15), 3)]


def check(conv: Conv, directions=DIRECTIONS) -> None:
    for direction in directions:
        assert "grouped" in supporting(direction, conv.shape, NUMBERS[conv.dtype])
        for name, result in conv.run(direction, "grouped").items():
            bound = dot_bound(conv.terms(direction), conv.magnitude[name], conv.dtype)
            error = (result.double() - conv.exact[name]).abs()
            assert (error <= bound).all(), f"{conv.case} {name}: off by {error.max()}"


@pytest.mark.parametrize("layout", ["nchw", "nhwc", "mixed weight"])
@pytest.mark.parametrize("channels", GROUPS)
def test_extents_around_lanes_and_tiles(channels, layout):
    for i, (size, kernel) in enumerate(EXTENTS):
        groups = max(2, LANES // channels) + i % 3  # a whole number of vectors, and more
        stride = ((1, 1), (2, 2), (1, 3))[i % 3]
        dilation = (1, 2) if i == 4 else (1, 1)
        pad = kernel // 2
        case = ConvCase(
            "", 2, groups * channels, *size, groups * channels, kernel, kernel, stride,
            (pad, pad, dilation[1] * pad, dilation[1] * pad), dilation, groups,
        )  # fmt: skip
        check(Conv(case, torch.float32, layout))


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_fewer_channels_than_lanes_and_more_outputs_than_inputs(layout):
    few = ConvCase("", 1, 4, 5, 8, 4, 3, 3, padding=(1,) * 4, groups=2)
    check(Conv(few, torch.float32, layout))
    wide = ConvCase("", 1, 10, 5, 8, 2 * LANES, 3, 3, (2, 1), (1,) * 4, groups=2)
    check(Conv(wide, torch.float32, layout), ["forward", "backward_weight"])
    narrow = ConvCase("", 1, 2 * LANES, 5, 8, 10, 3, 3, (2, 1), (1,) * 4, groups=2)
    check(Conv(narrow, torch.float32, layout), ["backward_input"])


@pytest.mark.skipif(_C.isa() == "avx2-wide", reason="has float32 alone")
@pytest.mark.parametrize("channels", [2, 4, 8])
def test_float64(channels):
    case = ConvCase("", 2, 5 * channels, 6, 9, 5 * channels, 3, 3, (2, 2), (1,) * 4, groups=5)
    for layout in ("nchw", "nhwc"):
        check(Conv(case, torch.float64, layout))


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("channels", [WHOLE_GROUPS[-1], LANES])
def test_padding_is_never_multiplied_and_nan_stays_in_its_group(channels, layout):
    case = ConvCase("", 1, 3 * channels, 4, 9, 3 * channels, 3, 3, padding=(1,) * 4, groups=3)
    conv = Conv(case, torch.float32, layout)
    oc = channels + 1  # an output channel of the second group
    w = conv.w.reshape(case.OC, channels, 3, 3)
    w[oc, 0, 0, 0] = torch.nan
    y = conv.run("forward", "grouped")["forward"]
    reached = torch.zeros(y.shape, dtype=torch.bool)
    reached[0, oc, 1:, 1:] = True  # the first row and column of outputs see padding by that tap
    assert (y.isnan() == reached).all()
    grad_x = conv.run("backward_input", "grouped")["backward_input"]
    reached = torch.zeros(grad_x.shape, dtype=torch.bool)
    reached[0, channels, :-1, :-1] = True
    assert (grad_x.isnan() == reached).all()
    # The first pixel of channel oc.
    conv.grad_y.reshape(-1)[oc if layout == "nhwc" else oc * 4 * 9] = torch.inf
    grad_w = conv.run("backward_weight", "grouped")["backward_weight"]
    reached = torch.zeros(grad_w.shape, dtype=torch.bool)
    reached[oc, :, 1:, 1:] = True  # the other taps see padding from the first output
    assert (grad_w.isfinite() == ~reached).all()


def test_workspace_does_not_grow_with_the_batch():
    for direction in DIRECTIONS:
        for layout in (False, True):
            sizes = [
                _C.conv2d_workspace_bytes(
                    direction, _C.DTYPES["float32"],
                    _C.Conv2dShape((n, 128, 56, 56), (128, LANES // 2, 3, 3), (1, 1), (1,) * 4,
                                   (1, 1), 256 // LANES, layout, False, layout),
                    2, "grouped",
                )
                for n in (16, 64)
            ]  # fmt: skip
            assert sizes[0] == sizes[1] < 8 << 20
