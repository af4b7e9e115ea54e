"""avg_pool2d and adaptive_avg_pool2d of fastconv.functional against torch in float64."""

import numpy as np
import pytest
import torch
from pools import AVG_CASES, windows_per_pixel
from reference import assert_rounded_once, assert_within, dot_bound, gradients, magnitude
from tensors import FLOATS, FORMATS, SHORT, randn, with_ties

from fastconv.functional import adaptive_avg_pool2d, avg_pool2d

F = torch.nn.functional

ADAPTIVE_CASES = {
    "divides": ((2, 3, 8, 6), (4, 3)),
    "does_not_divide": ((2, 3, 7, 10), (3, 4)),
    "larger_than_image": ((2, 3, 3, 5), (5, 7)),
    "larger_on_one_axis": ((2, 3, 3, 9), (5, 4)),
    "same": ((2, 3, 5, 4), (5, 4)),
    "global": ((2, 3, 7, 5), 1),
    "global_pair": ((2, 37, 7, 7), (1, 1)),
    "keep_height": ((2, 3, 7, 5), (None, 2)),
    "keep_width": ((2, 3, 7, 5), (3, None)),
    "keep_both": ((2, 3, 7, 5), (None, None)),
    "list": ((2, 3, 7, 5), [2, 3]),
    "one_pixel_image": ((2, 3, 1, 1), (3, 2)),
    "int": ((1, 1, 31, 13), 6),
}


def check_average(name, ours, torchs, x, arguments, terms, kwargs, what="") -> None:
    absolute = dict(kwargs)
    if absolute.get("divisor_override"):
        absolute["divisor_override"] = abs(absolute["divisor_override"])
    double = x.double()
    size = torchs(double, *arguments, **kwargs).shape
    grad_y = randn(*size, dtype=x.dtype, seed=9)
    got = gradients(lambda x: ours(x, *arguments, **kwargs), grad_y, x)
    want = gradients(lambda x: torchs(x, *arguments, **kwargs), grad_y.double(), double)
    of_absolutes = gradients(
        lambda x: torchs(x, *arguments, **absolute), grad_y.double().abs(), double.abs()
    )
    layout = torchs(x, *arguments, **kwargs)
    assert got[0].stride() == layout.stride(), f"{name} {what}"
    for form in FORMATS if x.dim() == 4 else ():
        assert got[1].is_contiguous(memory_format=form) == x.is_contiguous(memory_format=form)
    for g, reference, t in zip(got, want, of_absolutes, strict=True):
        assert g.dtype is x.dtype
        if x.dtype in SHORT:
            limit = dot_bound(terms, magnitude(t), torch.float32)
            assert_rounded_once(g, reference, limit, f"{name} {what}")
        else:
            assert_within(g, reference, dot_bound(terms, magnitude(t), x.dtype), f"{name} {what}")


@pytest.mark.parametrize("dtype", (*FLOATS, *SHORT), ids=str)
@pytest.mark.parametrize("name", AVG_CASES)
def test_avg_pool2d(name: str, dtype: torch.dtype):
    size, kwargs = AVG_CASES[name]
    x = randn(*size, dtype=dtype)
    terms = windows_per_pixel(kwargs)
    last = x.contiguous(memory_format=torch.channels_last)
    for view, what in ((x, "contiguous"), (last, "channels_last"), (x[0], "unbatched")):
        check_average(name, avg_pool2d, F.avg_pool2d, view, (), terms, kwargs, what)


def adaptive_terms(x_size, output_size) -> int:
    """Elements of a window, or windows of a pixel, whichever are more."""
    sizes = np.broadcast_to(np.array(output_size, dtype=object), 2)
    product = 1
    for extent, out in zip(x_size[2:], sizes, strict=True):
        out = extent if out is None else out
        product *= max(-(-extent // out), -(-out // extent)) + 1
    return product


@pytest.mark.parametrize("dtype", (*FLOATS, *SHORT), ids=str)
@pytest.mark.parametrize("name", ADAPTIVE_CASES)
def test_adaptive_avg_pool2d(name: str, dtype: torch.dtype):
    size, output_size = ADAPTIVE_CASES[name]
    x = randn(*size, dtype=dtype)
    terms = adaptive_terms(size, output_size)
    last = x.contiguous(memory_format=torch.channels_last)
    ours, torchs = adaptive_avg_pool2d, F.adaptive_avg_pool2d
    for view, what in ((x, "contiguous"), (last, "channels_last"), (x[0], "unbatched")):
        check_average(name, ours, torchs, view, (output_size,), terms, {}, what)


def test_avg_pool2d_ceil_mode_divisors_by_hand():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    sums = torch.tensor([[10.0, 24, 10], [51, 90, 33], [25, 42, 15]])
    include = torch.tensor([[9.0, 9, 6], [9, 9, 6], [6, 6, 4]])
    exclude = torch.tensor([[4.0, 6, 2], [6, 9, 3], [2, 3, 1]])
    for counted, divisors in ((True, include), (False, exclude)):
        y = avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=counted)
        want = sums / divisors
        assert_within(y[0, 0], want, dot_bound(9, magnitude(want), y.dtype))


def test_averages_spread_nan_no_further_than_their_windows():
    x = randn(1, 2, 6, 6)
    x[0, 1, 2, 3] = float("nan")
    for memory_format in FORMATS:
        t = x.contiguous(memory_format=memory_format)
        for ours, torchs in (
            (avg_pool2d(t, 2), F.avg_pool2d(t, 2)),
            (avg_pool2d(t, 3, 1, 1), F.avg_pool2d(t, 3, 1, 1)),
            (adaptive_avg_pool2d(t, 4), F.adaptive_avg_pool2d(t, 4)),
        ):
            assert torch.equal(ours.isnan(), torchs.isnan())
            assert_within(ours.nan_to_num(), torchs.nan_to_num(), dot_bound(9, 4.0, x.dtype))


def test_averages_of_integers_sum_exactly():
    x = with_ties(2, 3, 8, 8, dtype=torch.float32)
    assert torch.equal(avg_pool2d(x, 4, divisor_override=1), F.avg_pool2d(x, 4, divisor_override=1))
    assert torch.equal(adaptive_avg_pool2d(x, 2), F.adaptive_avg_pool2d(x, 2))  # 16: exact
