"""fastconv.functional.conv2d against torch in float64: values, gradients, argument forms, types.

Paths and instruction sets are test_kernels.py's; wrong arguments are test_errors_conv2d.py's.
"""

import re

import numpy as np
import pytest
import torch
from reference import (
    assert_rounded_once,
    assert_within,
    check_conv2d,
    conv2d_bounds,
    conv2d_reference,
    gradients,
)
from tensors import FLOATS, SHORT, channels_last, randn

import fastconv
from fastconv.functional import conv2d

F = torch.nn.functional

# name: (input, weight, arguments)
SHAPES = {
    "one_pixel_one_channel": ((1, 1, 1, 1), (1, 1, 1, 1), {}),
    "lenet_first_layer": ((2, 1, 28, 28), (6, 1, 5, 5), {"padding": 2}),
    "pointwise": ((2, 7, 5, 9), (5, 7, 1, 1), {}),
    "pointwise_strided": ((2, 7, 7, 8), (5, 7, 1, 1), {"stride": 2}),
    "3x3_same_size": ((2, 5, 11, 13), (9, 5, 3, 3), {"padding": 1}),
    "3x3_wide_channels": ((1, 17, 9, 10), (33, 17, 3, 3), {"padding": 1}),
    "stride_2": ((2, 3, 9, 10), (4, 3, 3, 3), {"stride": 2, "padding": 1}),
    "stride_differs_by_axis": ((2, 3, 9, 10), (4, 3, 3, 2), {"stride": (3, 1)}),
    "stride_beyond_kernel": ((1, 2, 11, 11), (3, 2, 2, 2), {"stride": 4}),
    "stride_skips_last_rows": ((1, 2, 8, 9), (3, 2, 3, 3), {"stride": 4}),
    "dilation_2": ((2, 3, 9, 11), (4, 3, 3, 3), {"dilation": 2, "padding": 2}),
    "dilation_differs_by_axis": ((1, 3, 9, 11), (4, 3, 2, 3), {"dilation": (3, 1)}),
    "stride_and_dilation": ((2, 3, 13, 12), (4, 3, 3, 2), {"stride": 2, "dilation": (2, 3)}),
    "groups": ((2, 6, 7, 7), (9, 2, 3, 3), {"groups": 3, "padding": 1}),
    "groups_strided_dilated": (
        (2, 4, 11, 10),
        (6, 2, 3, 3),
        {"groups": 2, "stride": 2, "dilation": 2, "padding": (2, 1)},
    ),
    "depthwise": ((2, 5, 9, 9), (5, 1, 3, 3), {"groups": 5, "padding": 1}),
    "depthwise_strided": ((2, 5, 9, 9), (5, 1, 3, 3), {"groups": 5, "stride": 2}),
    "depthwise_multiplier": ((1, 3, 8, 7), (6, 1, 3, 3), {"groups": 3}),
    "padding_beyond_kernel": ((1, 2, 3, 4), (3, 2, 2, 2), {"padding": (4, 3)}),
    "kernel_covers_image": ((2, 3, 5, 4), (7, 3, 5, 4), {}),
    "kernel_needs_padding": ((2, 3, 2, 2), (4, 3, 5, 3), {"padding": 2}),
    "row_kernel": ((2, 3, 6, 19), (4, 3, 1, 7), {"padding": (0, 3)}),
    "column_kernel": ((2, 3, 19, 6), (4, 3, 7, 1), {"padding": (3, 0)}),
    "large_kernel": ((1, 2, 17, 16), (3, 2, 11, 11), {"padding": 5}),
    "image_one_wide": ((2, 3, 12, 1), (4, 3, 3, 1), {"padding": (1, 0)}),
    "same_odd": ((2, 3, 7, 8), (4, 3, 3, 5), {"padding": "same"}),
    "same_even": ((2, 3, 7, 8), (4, 3, 2, 4), {"padding": "same"}),
    "same_even_dilated": ((2, 3, 9, 8), (4, 3, 4, 2), {"padding": "same", "dilation": (3, 5)}),
    "same_odd_dilated_groups": (
        (1, 4, 9, 8),
        (4, 2, 3, 3),
        {"padding": "same", "dilation": 2, "groups": 2},
    ),
    "same_depthwise_even": ((1, 3, 6, 6), (3, 1, 2, 2), {"padding": "same", "groups": 3}),
    "valid": ((2, 3, 7, 8), (4, 3, 3, 3), {"padding": "valid", "stride": 2}),
}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", SHAPES)
def test_value_and_gradients(name: str, dtype: torch.dtype):
    x_size, w_size, kwargs = SHAPES[name]
    x, w = randn(*x_size, dtype=dtype), randn(*w_size, dtype=dtype, seed=1)
    bias = randn(w_size[0], dtype=dtype, seed=2)
    check_conv2d(conv2d, x, w, bias, what=name, **kwargs)
    check_conv2d(conv2d, x, w, what=f"{name}, no bias", **kwargs)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_value_and_gradients_channels_last(dtype: torch.dtype):
    for name, (x_size, w_size, kwargs) in SHAPES.items():
        x, w = randn(*x_size, dtype=dtype), randn(*w_size, dtype=dtype, seed=1)
        bias = randn(w_size[0], dtype=dtype, seed=2)
        check_conv2d(conv2d, channels_last(x), channels_last(w), bias, what=name, **kwargs)


def test_unbatched_input():
    for name, (x_size, w_size, kwargs) in SHAPES.items():
        x, w = randn(*x_size)[0], randn(*w_size, seed=1)
        y, grad_x, *_ = check_conv2d(conv2d, x, w, randn(w_size[0]), what=name, **kwargs)
        assert y.dim() == grad_x.dim() == 3


def check_form(x, w, **kwargs) -> None:
    """What this torch refuses, ours refuses alike: torch 2.4 takes no tensor for a number."""
    try:
        F.conv2d(x, w, **kwargs)
    except RuntimeError as error:
        with pytest.raises(RuntimeError, match=re.escape(str(error))):
            conv2d(x, w, **kwargs)
    else:
        check_conv2d(conv2d, x, w, randn(4), **kwargs)


@pytest.mark.parametrize(
    "padding",
    [
        2,
        (2, 1),
        (2,),
        [2, 1],
        [2],
        torch.Size((2, 1)),
        np.int64(2),
        np.int32(2),
        (np.int64(2), np.int64(1)),
        torch.tensor(2),
        (torch.tensor(2), 1),
        "same",
        "valid",
    ],
    ids=repr,
)
def test_forms_of_padding(padding: object):
    check_form(randn(2, 3, 8, 9), randn(4, 3, 5, 5, seed=1), padding=padding)


@pytest.mark.parametrize(
    "pair", [2, (2, 1), (2,), [2, 1], [1], np.int64(2), torch.tensor(2)], ids=repr
)
@pytest.mark.parametrize("argument", ["stride", "dilation"])
def test_forms_of_stride_and_dilation(argument: str, pair: object):
    check_form(randn(2, 3, 8, 9), randn(4, 3, 3, 3, seed=1), **{argument: pair})


def test_ints_of_all_forms_run_here():
    x, w = randn(1, 2, 5, 5), randn(3, 2, 3, 3)
    fastconv.handovers(reset=True)
    for padding in (1, (1,), (1, 1), [1], [1, 1], torch.Size((1, 1)), np.int64(1), "same", "valid"):
        conv2d(x, w, padding=padding)
    assert fastconv.handovers() == {}


def test_keyword_arguments_by_torch_names():
    x, w, bias = randn(1, 4, 7, 7), randn(6, 2, 3, 3), randn(6)
    y = conv2d(input=x, weight=w, bias=bias, stride=2, padding=1, dilation=2, groups=2)
    want = F.conv2d(input=x, weight=w, bias=bias, stride=2, padding=1, dilation=2, groups=2)
    assert_within(y, want, conv2d_bounds(x, w, bias, y, torch.float64, stride=2, padding=1,
                                         dilation=2, groups=2)[0])  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_empty_batch(dtype: torch.dtype):
    x, w, bias = randn(0, 3, 6, 6, dtype=dtype), randn(4, 3, 3, 3, dtype=dtype), randn(4).to(dtype)
    y, grad_x, grad_w, grad_bias = gradients(
        lambda *t: conv2d(*t, stride=2), torch.empty(0, 4, 2, 2, dtype=dtype), x, w, bias
    )
    assert y.shape == (0, 4, 2, 2) and grad_x.shape == x.shape
    assert torch.equal(grad_w, torch.zeros_like(w)) and torch.equal(grad_bias, torch.zeros(4))


def test_batch_entries_are_independent():
    x, w = randn(5, 3, 9, 9, dtype=torch.float32), randn(4, 3, 3, 3, dtype=torch.float32)
    x[2] = float("nan")
    y = conv2d(x, w, padding=1)
    assert y[2].isnan().all() and not y[[0, 1, 3, 4]].isnan().any()


def test_nan_and_inf_spread_as_far_as_the_window():
    x, w = torch.zeros(1, 1, 7, 7), torch.ones(1, 1, 3, 3)
    for value in (float("nan"), float("inf")):
        x[0, 0, 3, 3] = value
        got, want = conv2d(x, w, padding=1), F.conv2d(x, w, padding=1)
        # zeros have no magnitude to round at: equal, NaNs included
        assert torch.equal(got.isfinite(), want.isfinite())
        assert torch.equal(got.nan_to_num(7.0, 5.0), want.nan_to_num(7.0, 5.0))


def test_sums_of_integers_are_exact():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-4, 5, (2, 16, 9, 9), generator=generator)
    w = torch.randint(-4, 5, (8, 16, 5, 5), generator=generator)
    want = F.conv2d(x.double(), w.double(), padding=2)  # below 2**24, so float32 holds every sum
    assert torch.equal(conv2d(x.float(), w.float(), padding=2).double(), want)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_of_torch_do_not_change_the_result(threads: int):
    x, w = randn(3, 5, 17, 16, dtype=torch.float32), randn(7, 5, 3, 3, dtype=torch.float32)
    grad_y = randn(3, 7, 15, 14, dtype=torch.float32)
    want = gradients(conv2d, grad_y, x, w)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        got = gradients(conv2d, grad_y, x, w)
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, got, want))


@pytest.mark.parametrize("dtype", SHORT, ids=str)
@pytest.mark.parametrize(
    "name", ["3x3_same_size", "lenet_first_layer", "groups", "depthwise", "dilation_2", "pointwise"]
)
def test_short_types_are_rounded_once(name: str, dtype: torch.dtype):
    x_size, w_size, kwargs = SHAPES[name]
    x, w = randn(*x_size, dtype=dtype), randn(*w_size, dtype=dtype, seed=1)
    bias = randn(w_size[0], dtype=dtype, seed=2)
    grad_y = randn(*F.conv2d(x, w, **kwargs).shape, dtype=dtype, seed=3)
    got = gradients(lambda *t: conv2d(*t, **kwargs), grad_y, x, w, bias)
    want = conv2d_reference(x, w, bias, grad_y, **kwargs)
    limits = conv2d_bounds(x, w, bias, grad_y, torch.float32, **kwargs)  # sums are float32
    for g, reference, limit in zip(got, want, limits, strict=True):
        assert g.dtype is dtype
        assert_rounded_once(g, reference, limit, name)


def test_float16_sums_beyond_its_range_do_not_overflow_on_the_way():
    x, w = torch.full((1, 1, 1, 2), 300, dtype=torch.float16), torch.tensor([[[[300, -299]]]])
    assert conv2d(x, w.to(torch.float16)).item() == 300  # 90000 - 89700; float16 ends at 65504
