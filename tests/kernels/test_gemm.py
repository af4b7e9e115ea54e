"""GEMM convolution: backward_input of filters that do not overlap, and channels_last pixels that
are read where they lie; run once per instruction set by test_isa.py."""

import pytest
import torch
from cases import ConvCase
from raw_kernels import DTYPES, HALVES, LAYOUTS, NUMBERS, Conv
from reference import assert_rounded_once, dot_bound

from fastconv.core.extension import _C

# Whole cells, cells with gaps, cells cut by padding, and pixels after the last cell.
APART = [
    ConvCase("patches 4x4", 2, 3, 20, 24, 17, 4, 4, (4, 4)),
    ConvCase("patches 4x4, pixels left over", 2, 3, 23, 43, 17, 4, 4, (4, 4)),
    ConvCase("patches 16x16", 1, 3, 35, 64, 9, 16, 16, (16, 16)),
    ConvCase("2x2 stride 2", 3, 9, 13, 50, 20, 2, 2, (2, 2)),
    ConvCase("2x2 stride 2, padding", 2, 5, 11, 38, 7, 2, 2, (2, 2), (1, 1, 1, 0)),
    ConvCase("3x3 stride 3, padding 2", 2, 4, 16, 29, 8, 3, 3, (3, 3), (2, 2, 2, 2)),
    ConvCase("1x1 stride 2", 2, 40, 14, 57, 24, 1, 1, (2, 2)),
    ConvCase("1x1 stride 2, padding", 1, 16, 9, 20, 12, 1, 1, (2, 2), (1, 1, 1, 1)),
    ConvCase("1x1 stride 1x3", 2, 6, 7, 31, 300, 1, 1, (1, 3)),
    ConvCase("3x2 stride 7x4, dilation 1x3", 2, 8, 26, 51, 3, 3, 2, (7, 4), (0, 6, 0, 0), (1, 3)),
    ConvCase("2x2 stride 5, dilation 2", 1, 5, 23, 41, 6, 2, 2, (5, 5), (3, 0, 1, 2), (2, 2)),
    ConvCase("padding of more than a stride", 2, 3, 6, 8, 5, 2, 2, (3, 3), (7, 4, 8, 3)),
    ConvCase("3 groups", 2, 9, 12, 22, 15, 2, 2, (2, 2), groups=3),
    ConvCase("one channel a group", 2, 6, 12, 22, 6, 1, 1, (2, 2), groups=6),
    ConvCase("many channels", 1, 530, 4, 6, 9, 1, 1, (2, 2)),
    ConvCase("many channels, 2x2 stride 4", 1, 200, 9, 9, 9, 2, 2, (4, 4)),
    ConvCase("image of one pixel", 2, 3, 1, 1, 5, 2, 2, (2, 2), (1, 0, 1, 0)),
    ConvCase("stride of more than the image", 1, 3, 5, 6, 4, 2, 3, (9, 8)),
]
# Ends of rows whose pixels see some of the taps, rows that see some, and a sum of several chunks.
IN_PLACE = [
    ConvCase("1x1", 3, 64, 9, 13, 24, 1, 1),
    ConvCase("1x1, several chunks", 1, 300, 5, 9, 33, 1, 1),
    ConvCase("3x3 stride 2", 2, 32, 15, 28, 24, 3, 3, (2, 2), (1, 1, 1, 1)),
    ConvCase("5x5, padding 4", 1, 24, 9, 12, 16, 5, 5, padding=(4, 4, 4, 4)),
    ConvCase("1x7", 1, 128, 6, 17, 24, 1, 7, padding=(0, 0, 3, 3)),
    ConvCase("dilation 6", 1, 64, 13, 16, 24, 3, 3, padding=(6, 6, 6, 6), dilation=(6, 6)),
    ConvCase("2 groups", 2, 64, 8, 12, 48, 3, 3, (1, 1), (1, 1, 1, 1), groups=2),
]


def check(conv: Conv, direction: str) -> None:
    """Within the bound of a sum of products, and the same bits for every number of threads."""
    runs = [conv.run(direction, "gemm", threads)[direction] for threads in (2, 1, 3)]
    assert all(torch.equal(runs[0], other) for other in runs[1:])
    bound = dot_bound(conv.terms(direction), conv.magnitude[direction], conv.dtype)
    assert ((runs[0].double() - conv.exact[direction]).abs() <= bound).all()


@pytest.mark.parametrize("case", APART, ids=lambda c: c.name)
def test_filters_apart(case):
    for layout in LAYOUTS:
        for dtype in DTYPES:
            check(Conv(case, dtype, layout), "backward_input")


@pytest.mark.parametrize("case", APART[1::3], ids=lambda c: c.name)
def test_filters_apart_in_16_bits(case):
    for layout in ("nchw", "nhwc"):
        for dtype in HALVES:
            conv = Conv(case, dtype, layout)
            magnitude = conv.magnitude["backward_input"]
            bound = dot_bound(conv.terms("backward_input"), magnitude, torch.float32)
            result = conv.run("backward_input", "gemm")["backward_input"]
            assert_rounded_once(result, conv.exact["backward_input"], bound)


@pytest.mark.parametrize("case", IN_PLACE, ids=lambda c: c.name)
def test_pixels_in_place(case):
    for layout in ("nhwc", "mixed"):
        for dtype in DTYPES:
            for direction in ("forward", "backward_input"):
                check(Conv(case, dtype, layout), direction)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_one_nan_reaches_only_its_cell(layout):
    case = ConvCase("nan", 1, 3, 12, 20, 8, 2, 2, (4, 4))
    conv = Conv(case, torch.float32, layout)
    grad_y = torch.randn(conv.y_size)
    grad_y[0, 5, 1, 2] = torch.nan
    conv.grad_y = grad_y.permute(0, 2, 3, 1).contiguous() if layout == "nhwc" else grad_y
    grad_x = conv.run("backward_input", "gemm")["backward_input"]
    touched = torch.zeros(12, 20, dtype=torch.bool)
    touched[4:6, 8:10] = True
    assert (grad_x.isnan() == touched).all()


def test_workspace_does_not_grow_with_the_batch():
    w, most = (512, 256, 2, 2), 64 << 20
    for channels_last in (False, True):
        needed = []
        for batch in (1, 64):
            x = (batch, 256, 112, 112)
            shape = _C.Conv2dShape(x, w, (2, 2), (0, 0, 0, 0), (1, 1), 1, *[channels_last] * 3)
            needed.append(
                _C.conv2d_workspace_bytes(
                    "backward_input", NUMBERS[torch.float32], shape, 2, "gemm"
                )
            )
        assert needed[0] == needed[1] < most
