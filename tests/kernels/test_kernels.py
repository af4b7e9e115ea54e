"""Every path of every direction of conv2d on raw buffers against torch in float64; run once per
instruction set by test_isa.py."""

import pytest
import torch
from cases import CONV_CASES, ConvCase
from raw_kernels import DIRECTIONS, DTYPES, LAYOUTS, Conv, buffer, plain_sums, supporting, unwritten
from reference import dot_bound

from fastconv.core.extension import _C

# Of plain sums; Winograd's arithmetic has another bound (test_winograd.py).
PATHS = [(d, p) for d in DIRECTIONS for p in plain_sums(d)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CONV_CASES, ids=lambda c: c.name)
def test_conv2d_paths(case, layout, dtype):
    conv = Conv(case, dtype, layout)
    ran = set()
    for direction, path in PATHS:
        if path not in supporting(direction, conv.shape):
            continue
        ran.add((direction, path))
        for name, result in conv.run(direction, path).items():
            bound = dot_bound(conv.terms(direction), conv.magnitude[name], dtype)
            error = (result.double() - conv.exact[name]).abs()
            assert (error <= bound).all(), f"{direction} {path}: {name} is off by {error.max()}"
    assert {(d, "reference") for d in DIRECTIONS} <= ran
    if case.N * case.IC > 0:
        assert {(d, "direct") for d in DIRECTIONS} <= ran


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", CONV_CASES, ids=lambda c: c.name)
def test_conv2d_same_bits_for_any_thread_count(case, direction):
    for layout in ("nchw", "nhwc"):
        conv = Conv(case, torch.float32, layout)
        for path in supporting(direction, conv.shape):
            runs = [conv.run(direction, path, threads) for threads in (1, 2, 3, 7)]
            for other in runs[1:]:
                for name, result in runs[0].items():
                    assert torch.equal(result, other[name]), f"{path}: {name}"


def test_conv2d_one_nan_reaches_only_the_outputs_above_it():
    case = ConvCase("nan", 1, 2, 12, 13, 5, 3, 3, padding=(1, 1, 1, 1))
    conv = Conv(case, torch.float32, "nchw")
    conv.x[0, 1, 4, 6] = torch.nan
    conv.grad_y[0, 2, 7, 3] = torch.inf
    y = conv.run("forward", "direct")["forward"]
    touched = torch.zeros(12, 13, dtype=torch.bool)
    touched[3:6, 5:8] = True
    assert (y.isnan() == touched).all()
    grad_x = conv.run("backward_input", "direct")["backward_input"]
    touched = torch.zeros(12, 13, dtype=torch.bool)
    touched[6:9, 2:5] = True
    assert (grad_x.isfinite() == ~touched).all()


def test_wrong_buffers_are_refused():
    conv = Conv(CONV_CASES[1], torch.float32, "nchw")
    address, count = buffer(conv.x)
    y = unwritten(conv.y_size, torch.float32)

    def run(x, x_count, dtype=_C.DTYPES["float32"], threads=1, path=""):
        _C.conv2d_forward(
            dtype, conv.shape, (x, x_count), buffer(conv.w), None, buffer(y), threads, path
        )

    run(address, count)
    with pytest.raises(
        ValueError, match=f"x holds {count - 1} elements, but the shape has {count}"
    ):
        run(address, count - 1)
    with pytest.raises(ValueError, match="x holds 0 elements"):
        run(0, count)
    with pytest.raises(ValueError, match="not aligned"):
        run(address + 1, count)
    with pytest.raises(ValueError, match="element type 7"):
        run(address, count, dtype=7)
    with pytest.raises(ValueError, match="threads must be positive"):
        run(address, count, threads=0)
    with pytest.raises(ValueError, match="no path is named 'fastest'"):
        run(address, count, path="fastest")


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"stride": (0, 1)}, "stride must be at least 1"),
        ({"padding": (0, -1, 0, 0)}, "padding must be at least 0"),
        ({"dilation": (1, 0)}, "dilation must be at least 1"),
        ({"groups": 2}, "divisible by groups"),
        ({"input": (1, 3, 2, 8)}, "larger than the padded input"),
        ({"input": (2**31, 3, 8, 8)}, "below 2\\^31"),
        ({"input": (2**30, 3, 2**30, 2**30)}, "more than 2\\^62 elements"),
        ({"weight": (4, 2, 3, 3)}, "IC / groups input channels"),
    ],
)
def test_wrong_shapes_are_refused(changes, sentence):
    good = {
        "input": (1, 3, 8, 8),
        "weight": (4, 3, 3, 3),
        "stride": (1, 1),
        "padding": (0, 0, 0, 0),
        "dilation": (1, 1),
        "groups": 1,
    }
    _C.Conv2dShape(**good)
    with pytest.raises(ValueError, match=sentence):
        _C.Conv2dShape(**(good | changes))


def test_workspace_is_a_few_rows_for_a_large_image():
    shape = _C.Conv2dShape((8, 64, 224, 224), (64, 64, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1)
    for direction in DIRECTIONS:
        assert (
            0
            < _C.conv2d_workspace_bytes(direction, _C.DTYPES["float32"], shape, 2, "direct")
            < 8 << 20
        )


@pytest.mark.parametrize("OC", [2, 40])
def test_conv2d_nan_that_no_output_reads_reaches_no_filter(OC):
    """Columns after the last output, and the rest of a vector of pixels, meet a gradient of 0."""
    conv = Conv(ConvCase("nan", 2, 3, 9, 16, OC, 3, 3, (2, 3), (1, 0, 1, 0)), torch.float32, "nchw")
    clean = {path: conv.run("backward_weight", path) for path in ("direct", "gemm")}
    conv.x[..., 15] = torch.nan  # windows end at column 14
    for path, want in clean.items():
        for name, result in conv.run("backward_weight", path).items():
            assert torch.equal(result, want[name]), f"{path}: {name}"
