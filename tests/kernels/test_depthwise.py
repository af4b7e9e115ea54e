"""Depthwise convolution: extents around the lanes and tiles, every direction against float64, and
padding that is never multiplied. Run once per instruction set by test_isa.py."""

import itertools

import pytest
import torch
from cases import ConvCase
from raw_kernels import DIRECTIONS, Conv, from_memory, supporting
from reference import dot_bound

from fastconv.core.extension import _C

LANES = _C.lanes(0)
CHANNELS = [LANES - 1, LANES, LANES + 1, 2 * LANES + 3]
# 7 columns or rows are a tile; a plane has at least 7 rows and half a vector of columns.
EXTENTS = [
    (1, 1),
    (2, 3),
    (6, 7),
    (7, 6),
    (7, LANES),
    (8, LANES + 1),
    (13, 2 * LANES - 1),
    (29, 23),
]


def check(case: ConvCase, direction: str, dtype=torch.float32) -> None:
    for layout in ("nchw", "nhwc"):
        conv = Conv(case, dtype, layout)
        assert "depthwise" in supporting(direction, conv.shape)
        for name, result in conv.run(direction, "depthwise").items():
            bound = dot_bound(conv.terms(direction), conv.magnitude[name], dtype)
            error = (result.double() - conv.exact[name]).abs()
            assert (error <= bound).all(), f"{case} {layout} {name}: off by {error.max()}"


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 7, 9])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_extents_around_lanes_and_tiles(direction, kernel):
    for channels, (height, width) in zip(CHANNELS * 2, EXTENTS, strict=True):
        pad = kernel // 2
        case = ConvCase(
            "", 2, channels, height, width, channels, kernel, kernel,
            padding=(pad,) * 4, groups=channels,
        )  # fmt: skip
        check(case, direction)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_strides_dilations_paddings_and_filters_of_a_channel(direction):
    geometries = itertools.product(
        [(1, 1), (2, 2), (3, 1), (1, 5)],  # stride
        [(1, 1), (3, 2)],  # dilation
        [(2, 1, 0, 3), (7, 9, 11, 8)],  # padding, up to more than the filter
        [1, 3],  # filters of a channel
        [(3, 3), (5, 2)],
    )
    for stride, dilation, padding, multiplier, (kh, kw) in geometries:
        channels = LANES + 3
        case = ConvCase(
            "", 1, channels, 17, 13, channels * multiplier, kh, kw,
            stride, padding, dilation, channels,
        )  # fmt: skip
        check(case, direction)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_few_channels_are_computed_in_planes(direction):
    filters = [(1, 11), (11, 1), (3, 3), (6, 5), (2, 13)]
    for channels, (kh, kw) in itertools.product((1, 2, 3, LANES - 1), filters):
        for padding in ((0,) * 4, (kh // 2, kh // 2, kw - 1, 0)):
            case = ConvCase(
                "", 2, channels, 19, 4 * LANES + kw, channels, kh, kw,
                padding=padding, groups=channels,
            )  # fmt: skip
            check(case, direction)


@pytest.mark.skipif(_C.isa() == "avx2-wide", reason="has float32 alone")
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_float64(direction):
    for channels, stride in itertools.product((1, 3, 4, 9), ((1, 1), (2, 2))):
        case = ConvCase(
            "", 2, channels, 11, 12, 2 * channels, 3, 3, stride, (1,) * 4, groups=channels
        )
        check(case, direction, torch.float64)


def tap_grid(shape: tuple[int, int], kernel: int, pad: int, a: int, b: int) -> torch.Tensor:
    """Where tap (a, b) of a stride 1 filter lies inside the image, for each output."""
    height, width = shape
    rows = torch.arange(height + 2 * pad - kernel + 1) - pad + a
    columns = torch.arange(width + 2 * pad - kernel + 1) - pad + b
    return ((0 <= rows) & (rows < height))[:, None] & ((0 <= columns) & (columns < width))


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("size", [(5, 4), (7, 7), (14, 14), (9, 33)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_padding_is_never_multiplied(kernel, size, layout):
    pad = kernel // 2
    for channels, (a, b) in itertools.product((LANES + 1, 3), ((0, 0), (kernel - 1, pad))):
        case = ConvCase(
            "", 1, channels, *size, channels, kernel, kernel, padding=(pad,) * 4, groups=channels
        )
        conv = Conv(case, torch.float32, layout)
        w = conv.w.reshape(channels, kernel, kernel)
        w[:, a, b] = torch.nan
        y = conv.run("forward", "depthwise")["forward"]
        assert (y.isnan() == tap_grid(size, kernel, pad, a, b)).all()
        grad_x = conv.run("backward_input", "depthwise")["backward_input"]
        reached = tap_grid(size, kernel, pad, kernel - 1 - a, kernel - 1 - b)
        assert (grad_x.isnan() == reached).all()


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("size", [(5, 4), (7, 7), (14, 14), (9, 33)])
def test_an_infinity_reaches_the_taps_that_it_is_a_term_of(size, layout):
    height, width = size
    for channels, (h, w) in itertools.product((LANES + 1, 3), ((0, 0), (height - 1, width - 1))):
        case = ConvCase("", 1, channels, *size, channels, 3, 3, padding=(1,) * 4, groups=channels)
        conv = Conv(case, torch.float32, layout)
        image = from_memory(conv.x, case.input_size, layout == "nhwc")
        image[0, 2, h, w] = torch.inf
        grad_w = conv.run("backward_weight", "depthwise")["backward_weight"]
        reached = torch.zeros(channels, 3, 3, dtype=torch.bool)
        reached[2] = True
        reached[2, 2 if h == 0 else 0] = False  # would be an output above or below the last row
        reached[2, :, 2 if w == 0 else 0] = False
        assert (grad_w[:, 0].isfinite() == ~reached).all()


def test_workspace_does_not_grow_with_the_batch():
    for direction, layout in itertools.product(DIRECTIONS, (False, True)):
        sizes = [
            _C.conv2d_workspace_bytes(
                direction, _C.DTYPES["float32"],
                _C.Conv2dShape((n, 96, 56, 56), (96, 1, 3, 3), (2, 2), (1,) * 4, (1, 1), 96,
                               layout, False, layout),
                2, "depthwise",
            )
            for n in (16, 64)
        ]  # fmt: skip
        assert sizes[0] == sizes[1] < 4 << 20
