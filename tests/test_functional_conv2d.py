"""fastconv.functional.conv2d against torch in float64: argument forms, layouts, types, aliasing.

Paths and instruction sets are test_kernels.py's; wrong arguments are test_errors.py's.
"""

import numpy as np
import pytest
import torch
from reference import (
    assert_rounded_once,
    assert_within,
    bound,
    check_conv2d,
    conv2d_bounds,
    conv2d_reference,
    eps,
    gradients,
    magnitude,
)
from seen import Operators

import fastconv
from fastconv.functional import conv2d

F = torch.nn.functional
FLOATS = (torch.float32, torch.float64)

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


def randn(*size, dtype=torch.float64, seed=0) -> torch.Tensor:
    """The same numbers in every type, but for rounding."""
    generator = torch.Generator().manual_seed(seed + 31 * len(size) + sum(size))
    return torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)


def channels_last(t: torch.Tensor) -> torch.Tensor:
    return t.contiguous(memory_format=torch.channels_last)


# ---- values and gradients ------------------------------------------------------------------------


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
    check_conv2d(conv2d, randn(2, 3, 8, 9), randn(4, 3, 5, 5, seed=1), randn(4), padding=padding)


@pytest.mark.parametrize(
    "pair", [2, (2, 1), (2,), [2, 1], [1], np.int64(2), torch.tensor(2)], ids=repr
)
@pytest.mark.parametrize("argument", ["stride", "dilation"])
def test_forms_of_stride_and_dilation(argument: str, pair: object):
    x, w = randn(2, 3, 8, 9), randn(4, 3, 3, 3, seed=1)
    check_conv2d(conv2d, x, w, randn(4), **{argument: pair})


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


# ---- memory formats ------------------------------------------------------------------------------

LAYOUT_SHAPES = {
    "ordinary": ((2, 4, 6, 5), (6, 4, 3, 3), {}),
    "strided_padded": ((2, 4, 6, 5), (6, 4, 3, 3), {"stride": 2, "padding": 1}),
    "groups": ((2, 4, 6, 5), (6, 2, 3, 3), {"groups": 2}),
    "depthwise": ((2, 4, 6, 5), (4, 1, 3, 3), {"groups": 4}),
    "pointwise": ((2, 4, 6, 5), (6, 4, 1, 1), {}),
    "one_input_channel": ((2, 1, 6, 5), (6, 1, 3, 3), {}),
    "one_output_channel": ((2, 4, 6, 5), (1, 4, 3, 3), {}),
    "one_channel_each": ((2, 1, 6, 5), (1, 1, 3, 3), {}),
    "image_of_one_pixel": ((2, 4, 1, 1), (6, 4, 1, 1), {}),
    "image_of_one_pixel_padded": ((2, 4, 1, 1), (6, 4, 3, 3), {"padding": 1}),
    "output_of_one_pixel": ((2, 4, 3, 3), (6, 4, 3, 3), {}),
    "batch_of_one": ((1, 4, 6, 5), (6, 4, 3, 3), {}),
}


FORMATS = (torch.contiguous_format, torch.channels_last)


@pytest.mark.parametrize("name", LAYOUT_SHAPES)
@pytest.mark.parametrize("dtype", (*FLOATS, torch.float16, torch.bfloat16), ids=str)
def test_memory_formats(name: str, dtype: torch.dtype):
    """The output's is torch's; each gradient's is its tensor's, so that .grad needs no copy."""
    x_size, w_size, kwargs = LAYOUT_SHAPES[name]
    for x_format in FORMATS:
        for w_format in FORMATS:
            x = randn(*x_size, dtype=dtype).contiguous(memory_format=x_format)
            w = randn(*w_size, dtype=dtype).contiguous(memory_format=w_format)
            want = F.conv2d(x, w, **kwargs)
            for grad_y in (torch.ones_like(want), torch.ones_like(want).contiguous()):
                y, *grads = gradients(lambda *t: conv2d(*t, **kwargs), grad_y, x, w)
                assert y.stride() == want.stride(), (x.stride(), w.stride())
                for t, grad in zip((x, w), grads, strict=True):
                    for form in FORMATS:
                        assert grad.is_contiguous(memory_format=form) == t.is_contiguous(
                            memory_format=form
                        ), (t.stride(), grad.stride())


def strides_that_matter(t: torch.Tensor) -> list[int]:
    return [stride for extent, stride in zip(t.shape, t.stride(), strict=True) if extent > 1]


def test_accumulated_gradients_have_the_strides_of_torchs():
    for name, (x_size, w_size, kwargs) in LAYOUT_SHAPES.items():
        for x_format in FORMATS:
            for w_format in FORMATS:
                strides = []
                for function in (conv2d, F.conv2d):
                    x = randn(*x_size).contiguous(memory_format=x_format).requires_grad_()
                    w = randn(*w_size).contiguous(memory_format=w_format).requires_grad_()
                    function(x, w, **kwargs).sum().backward()
                    strides.append([strides_that_matter(t.grad) for t in (x, w)])
                assert strides[0] == strides[1], name


def test_memory_formats_as_documented():
    x, w = randn(2, 4, 6, 5), randn(6, 4, 3, 3)
    grad_y = randn(2, 6, 4, 3)
    for x_last in (False, True):
        for w_last in (False, True):
            y, grad_x, grad_w = gradients(
                conv2d, grad_y, channels_last(x) if x_last else x, channels_last(w) if w_last else w
            )
            for t, last in ((y, x_last or w_last), (grad_x, x_last), (grad_w, w_last)):
                assert t.is_contiguous(memory_format=torch.channels_last) == last
                assert t.is_contiguous() != last


def views(t: torch.Tensor) -> dict[str, torch.Tensor]:
    """Views of the size and (but for the expanded ones) the values of `t`."""
    n, c, h, w = t.shape
    wide = torch.full((n, c + 2, h, 2 * w + 1), float("nan"), dtype=t.dtype)
    wide[:, 1:-1, :, 1::2] = t
    offset = torch.cat([torch.full((3,), float("nan"), dtype=t.dtype), t.flatten()])[3:]
    negative = torch.complex(torch.zeros_like(t), -t).conj().imag if t.dtype in FLOATS else t
    return {
        "sliced": wide[:, 1:-1, :, 1::2],
        "transposed": t.transpose(2, 3).contiguous().transpose(2, 3),
        "batch_innermost": t.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
        "at_an_offset": offset.view(t.shape),
        "negative_bit": negative,
        "expanded_over_batch": t[:1].expand(t.shape),
        "expanded_over_channels": t[:, :1].expand(t.shape),
        "expanded_over_rows": t[:, :, :1].expand(t.shape),
        "one_number": t[:1, :1, :1, :1].expand(t.shape),
    }


VIEWS = tuple(views(torch.zeros(2, 2, 2, 2)))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("view", VIEWS)
def test_views(view: str, dtype: torch.dtype):
    x, w = randn(2, 4, 6, 5, dtype=dtype), randn(6, 2, 3, 3, dtype=dtype)
    bias, grad_y = randn(6, dtype=dtype), randn(2, 6, 6, 5, dtype=dtype)
    kwargs = {"padding": 1, "groups": 2}
    check_conv2d(conv2d, views(x)[view], w, bias, what="input", **kwargs)
    check_conv2d(conv2d, x, views(w)[view], bias, what="weight", **kwargs)
    check_conv2d(conv2d, x, w, bias, grad_y=views(grad_y)[view], what="grad_output", **kwargs)
    check_conv2d(conv2d, channels_last(x), w, bias, grad_y=views(grad_y)[view], **kwargs)
    every = {"grad_y": views(grad_y)[view], "what": "all", **kwargs}
    check_conv2d(conv2d, views(x)[view], views(w)[view], bias, **every)


def test_negative_bit_is_set_in_the_view_that_says_so():
    assert views(randn(1, 1, 2, 2))["negative_bit"].is_neg()


@pytest.mark.parametrize("bias", ["strided", "expanded", "negative_bit"])
def test_views_of_bias(bias: str):
    values = randn(6)
    view = {
        "strided": torch.stack([values, values * 0 + 9], 1)[:, 0],
        "expanded": values[:1].expand(6),
        "negative_bit": torch.complex(values * 0, -values).conj().imag,
    }[bias]
    check_conv2d(conv2d, randn(2, 4, 6, 5), randn(6, 4, 3, 3), view)


def test_gradient_of_a_sum_has_stride_zero():
    x, w, bias = randn(2, 3, 6, 6), randn(4, 3, 3, 3), randn(4)
    leaves = [t.requires_grad_() for t in (x, w, bias)]
    conv2d(*leaves).sum().backward()
    want = conv2d_reference(x, w, bias, torch.ones(2, 4, 4, 4))
    limits = conv2d_bounds(x, w, bias, torch.ones(2, 4, 4, 4), torch.float64)
    for leaf, t, limit in zip(leaves, want[1:], limits[1:], strict=True):
        assert_within(leaf.grad, t, limit)


# ---- short types ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", (torch.float16, torch.bfloat16), ids=str)
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


# ---- what is handed over -------------------------------------------------------------------------


@pytest.fixture
def no_handovers():
    fastconv.handovers(reset=True)
    yield
    fastconv.handovers(reset=True)


@pytest.mark.parametrize(
    "dtype", (torch.complex64, torch.complex128, torch.int64, torch.int32), ids=str
)
def test_other_types_are_handed_over_and_counted(dtype: torch.dtype, no_handovers):
    x, w = (randn(2, 3, 5, 5) * 8).to(dtype), (randn(4, 3, 3, 3) * 8).to(dtype)
    for calls in (1, 2):
        y = conv2d(x, w, padding=1)
        assert torch.equal(y, F.conv2d(x, w, padding=1)) and y.dtype is dtype
        assert fastconv.handovers() == {("conv2d", "dtype"): calls}
    conv2d(x.real.double(), w.real.double())  # runs here
    assert fastconv.handovers(reset=True) == {("conv2d", "dtype"): 2}
    assert fastconv.handovers() == {}


def test_complex_gradients_come_from_torch():
    x, w = randn(1, 2, 5, 5, dtype=torch.complex128), randn(3, 2, 3, 3, dtype=torch.complex128)
    grad_y = torch.ones(1, 3, 3, 3, dtype=torch.complex128)
    for g, t in zip(
        gradients(conv2d, grad_y, x, w), gradients(F.conv2d, grad_y, x, w), strict=True
    ):
        assert torch.equal(g, t)


def test_bool_is_an_error_and_no_handover(no_handovers):
    x, w = torch.ones(1, 1, 3, 3, dtype=torch.bool), torch.ones(1, 1, 2, 2, dtype=torch.bool)
    with pytest.raises(NotImplementedError, match="\"slow_conv2d_cpu\" not implemented for 'Bool'"):
        conv2d(x, w)
    assert fastconv.handovers() == {}


def test_floats_are_not_handed_over(no_handovers):
    for dtype in (*FLOATS, torch.float16, torch.bfloat16):
        x = randn(2, 3, 5, 5, dtype=dtype).requires_grad_()
        conv2d(x, randn(4, 3, 3, 3, dtype=dtype), padding="same").sum().backward()
        conv2d(x[0], randn(4, 3, 3, 3, dtype=dtype))
        conv2d(x[:0], randn(4, 3, 3, 3, dtype=dtype))
    assert fastconv.handovers() == {}


def test_no_input_channels_is_torchs_affair(no_handovers):
    x, w = torch.empty(2, 0, 8, 8), torch.empty(6, 0, 3, 3)
    assert conv2d(x, w).shape == F.conv2d(x, w).shape
    assert fastconv.handovers() == {("conv2d", "arguments"): 1}


def test_meta_tensors_are_torchs_affair(no_handovers):
    y = conv2d(torch.empty(2, 3, 8, 8, device="meta"), torch.empty(4, 3, 3, 3, device="meta"))
    assert y.shape == (2, 4, 6, 6) and y.is_meta
    assert fastconv.handovers() == {("conv2d", "device"): 1}


def test_mkldnn_tensors_are_torchs_affair(no_handovers):
    x, w = randn(2, 3, 8, 8, dtype=torch.float32), randn(4, 3, 3, 3, dtype=torch.float32)
    y = conv2d(x.to_mkldnn(), w)
    assert y.layout is torch._mkldnn
    y = y.to_dense()
    bound = conv2d_bounds(x, w, None, y, x.dtype)[0]
    assert_within(y, F.conv2d(x.double(), w.double()), bound)
    assert fastconv.handovers() == {("conv2d", "layout"): 1}


def test_tensor_of_zeros_without_memory():
    zeros = torch._efficientzerotensor((2, 3, 6, 6), dtype=torch.float64)
    w, bias = randn(4, 3, 3, 3), randn(4)
    want = F.conv2d(torch.zeros(2, 3, 6, 6, dtype=torch.float64), w, bias)
    assert torch.equal(conv2d(zeros, w, bias) + 0, want)


def test_stride_beyond_32_bits():
    x, w = randn(1, 1, 4, 4), randn(1, 1, 2, 2)
    y = conv2d(x, w, stride=2**40)
    assert_within(
        y, F.conv2d(x, w, stride=2**40), bound(5, magnitude(x) * magnitude(w) * 4, eps(x.dtype))
    )


# ---- aliasing, mutation, modes -------------------------------------------------------------------


def test_arguments_are_left_alone():
    for x_last in (False, True):
        x, w, bias = randn(2, 4, 6, 6), randn(6, 4, 3, 3), randn(6)
        x = channels_last(x) if x_last else x
        grad_y = randn(2, 6, 6, 6)
        tensors = (x, w, bias, grad_y)
        copies = [t.clone() for t in tensors]
        versions = [t._version for t in tensors]
        results = gradients(lambda *t: conv2d(*t, padding=1), grad_y, x, w, bias)
        assert [t._version for t in tensors] == versions
        assert all(map(torch.equal, tensors, copies))
        addresses = {t.untyped_storage().data_ptr() for t in (*results, *tensors)}
        assert len(addresses) == len(results) + len(tensors)


def test_identity_convolution_returns_new_memory():
    x, w = randn(1, 1, 4, 4), torch.ones(1, 1, 1, 1, dtype=torch.float64)
    y = conv2d(x, w)
    y.zero_()
    assert x.count_nonzero() == 16


def test_input_and_weight_may_be_one_tensor():
    t = randn(3, 3, 5, 5).requires_grad_()
    (got,) = torch.autograd.grad(conv2d(t, t, padding=2).square().sum(), t)
    (want,) = torch.autograd.grad(F.conv2d(t, t, padding=2).square().sum(), t)
    grad_y = 2 * F.conv2d(t, t, padding=2).detach()
    assert_within(got, want, sum(conv2d_bounds(t, t, None, grad_y, t.dtype, padding=2)))


def test_no_grad_and_inference_mode():
    x, w = randn(2, 3, 6, 6), randn(4, 3, 3, 3).requires_grad_()
    want = conv2d(x, w)
    assert want.requires_grad
    with torch.no_grad():
        y = conv2d(x, w)
    assert not y.requires_grad and not y.is_inference() and torch.equal(y, want)
    with torch.inference_mode():
        y = conv2d(x, w)
    assert y.is_inference() and not y.requires_grad and torch.equal(y, want)


def test_inference_tensor_outside_its_mode():
    with torch.inference_mode():
        x = randn(2, 3, 6, 6) + 0
    w = randn(4, 3, 3, 3)
    assert not conv2d(x, w).requires_grad
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        conv2d(x, w.requires_grad_())


@pytest.mark.parametrize("changed", ["input", "weight"])
def test_saved_tensor_changed_in_place_raises(changed: str):
    x, w = randn(1, 2, 5, 5).requires_grad_(), randn(3, 2, 3, 3).requires_grad_()
    leaves = {"input": x, "weight": w}
    working = {name: t * 1 for name, t in leaves.items()}
    y = conv2d(working["input"], working["weight"])
    working[changed].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_tensor_not_saved_may_be_changed_in_place():
    x, w = randn(1, 2, 5, 5), randn(3, 2, 3, 3)
    want = gradients(lambda x: conv2d(x, w), torch.ones(1, 3, 3, 3), x)[1]
    leaf, changing = x.clone().requires_grad_(), x.clone()
    y = conv2d(leaf, w)
    with torch.no_grad():
        leaf.zero_()  # the gradient by the input needs the weight only
    y.sum().backward()
    assert torch.equal(leaf.grad, want)
    bias = randn(3).requires_grad_()
    y = conv2d(changing, w, bias)
    changing.zero_()  # nor does the gradient by the bias need either
    y.sum().backward()
    assert torch.equal(bias.grad, torch.full((3,), 9.0, dtype=torch.float64))


def test_output_may_be_changed_in_place():
    x, w = randn(1, 2, 5, 5).requires_grad_(), randn(3, 2, 3, 3).requires_grad_()
    y = conv2d(x, w)
    (2 * y).sum().backward()
    want = x.grad.clone()
    x.grad = None
    conv2d(x, w).mul_(2).sum().backward()
    assert torch.equal(x.grad, want)


@pytest.mark.parametrize(
    ("needed", "called"),
    [
        ("x", ["conv2d_backward_input"]),
        ("w", ["conv2d_backward_weight"]),
        ("b", []),
        ("xw", ["conv2d_backward_input", "conv2d_backward_weight"]),
        ("xb", ["conv2d_backward_input"]),
        ("wb", ["conv2d_backward_weight"]),
        ("xwb", ["conv2d_backward_input", "conv2d_backward_weight"]),
    ],
)
def test_only_the_gradients_asked_for_are_computed(needed: str, called: list[str]):
    tensors = {"x": randn(2, 3, 6, 6), "w": randn(4, 3, 3, 3), "b": randn(4)}
    want = dict(zip("xwb", conv2d_reference(*tensors.values(), randn(2, 4, 4, 4))[1:], strict=True))
    limits = conv2d_bounds(*tensors.values(), randn(2, 4, 4, 4), torch.float64)[1:]
    for name in needed:
        tensors[name].requires_grad_()
    y = conv2d(*tensors.values())
    with Operators() as seen:
        y.backward(randn(2, 4, 4, 4))
    assert sorted(seen.names) == called
    for (name, t), limit in zip(tensors.items(), limits, strict=True):
        assert_within(t.grad, want[name] if name in needed else None, limit, name)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("asked", ["x", "w", "bias", "before x", "x and w"])
def test_gradients_left_out_of_autograd_grad_are_not_computed(asked, with_bias):
    leaf, w = randn(2, 3, 6, 6).requires_grad_(), randn(4, 3, 3, 3).requires_grad_()
    bias = randn(4).requires_grad_() if with_bias else None
    if asked == "bias" and not with_bias:
        pytest.skip("there is no bias to ask for")
    x = leaf * 2 if asked == "before x" else leaf
    of = {"x": [x], "w": [w], "bias": [bias], "before x": [leaf], "x and w": [x, w]}[asked]
    y = conv2d(x, w, bias)
    with Operators() as seen:
        got = torch.autograd.grad(y, of, torch.ones_like(y), retain_graph=True)
    inputs = {"conv2d_backward_input"} if asked != "w" and asked != "bias" else set()
    weights = {"conv2d_backward_weight"} if "w" in asked.split() else set()
    assert {n for n in seen.names if n.startswith("conv2d")} == inputs | weights
    want = torch.autograd.grad(F.conv2d(x, w, bias), of, torch.ones_like(y))
    for g, t in zip(got, want, strict=True):
        torch.testing.assert_close(g, t)


def test_backward_to_some_inputs_computes_those():
    x, w = randn(2, 3, 6, 6).requires_grad_(), randn(4, 3, 3, 3).requires_grad_()
    y = conv2d(x, w)
    with Operators() as seen:
        y.sum().backward(inputs=[w])
    assert "conv2d_backward_input" not in seen.names and x.grad is None and w.grad is not None
