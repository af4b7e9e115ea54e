"""The pools of fastconv.functional against torch: max pooling exactly, averages in float64.

Values, indices, gradients, layouts, types, what is handed over; errors are test_errors.py's.
"""

import numpy as np
import pytest
import torch
from reference import assert_rounded_once, assert_within, bound, eps, gradients, magnitude
from seen import Operators

import fastconv
from fastconv.functional import adaptive_avg_pool2d, avg_pool2d, max_pool2d

F = torch.nn.functional
FLOATS = (torch.float32, torch.float64)
SHORT = (torch.float16, torch.bfloat16)
FORMATS = (torch.contiguous_format, torch.channels_last)
NAN, INF = float("nan"), float("inf")

# name: (input, arguments of max_pool2d)
MAX_CASES = {
    "lenet": ((2, 6, 28, 28), {"kernel_size": 2}),
    "2x2_odd_image": ((2, 3, 7, 9), {"kernel_size": 2}),
    "2x2_odd_image_ceil": ((2, 3, 7, 9), {"kernel_size": 2, "ceil_mode": True}),
    "3x3_stride_2_padded": ((2, 3, 9, 8), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "3x3_stride_2_padded_ceil": (
        (2, 3, 9, 8),
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    ),
    "overlapping": ((1, 2, 8, 8), {"kernel_size": 3, "stride": 1}),
    "stride_beyond_kernel": ((1, 2, 11, 10), {"kernel_size": 2, "stride": 3}),
    "stride_beyond_kernel_ceil": (
        (1, 2, 11, 10),
        {"kernel_size": 2, "stride": 3, "ceil_mode": True},
    ),
    "axes_differ": (
        (2, 3, 11, 9),
        {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0), "dilation": (2, 3)},
    ),
    "dilated": ((2, 3, 11, 12), {"kernel_size": 3, "dilation": 2, "stride": 1, "padding": 1}),
    "dilated_ceil": (
        (1, 2, 12, 11),
        {"kernel_size": 2, "dilation": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    ),
    "whole_image": ((2, 3, 5, 4), {"kernel_size": (5, 4)}),
    "one_pixel_windows": ((2, 3, 5, 4), {"kernel_size": 1}),
    "one_pixel_windows_strided": ((2, 3, 5, 4), {"kernel_size": 1, "stride": 2}),
    "one_pixel_image": ((2, 3, 1, 1), {"kernel_size": 1}),
    "one_wide": ((2, 1, 9, 1), {"kernel_size": (2, 1)}),
    "kernel_beyond_image_but_for_padding": ((1, 2, 3, 3), {"kernel_size": 5, "padding": 2}),
    "kernel_beyond_image_ceil": ((1, 2, 3, 4), {"kernel_size": 4, "stride": 3, "ceil_mode": True}),
    "many_channels": ((1, 37, 6, 6), {"kernel_size": 2}),
    "prime_width": ((1, 1, 5, 31), {"kernel_size": 3, "stride": 2}),
}
AVG_CASES = {name: case for name, case in MAX_CASES.items() if "dilation" not in case[1]} | {
    "ceil_padded_exclude": (
        (2, 3, 9, 8),
        {
            "kernel_size": 3,
            "stride": 2,
            "padding": 1,
            "ceil_mode": True,
            "count_include_pad": False,
        },
    ),
    "padded_exclude": (
        (2, 3, 6, 6),
        {"kernel_size": (4, 2), "padding": (2, 1), "count_include_pad": False},
    ),
    "divisor": ((2, 3, 6, 7), {"kernel_size": 3, "divisor_override": 2}),
    "divisor_negative": ((2, 3, 6, 7), {"kernel_size": 2, "divisor_override": -3}),
    "divisor_padded_ceil": (
        (2, 3, 7, 6),
        {
            "kernel_size": 3,
            "stride": 2,
            "padding": 1,
            "ceil_mode": True,
            "divisor_override": 7,
            "count_include_pad": False,
        },
    ),
}
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


def randn(*size, dtype=torch.float64, seed=0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + sum(size))
    return torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)


def with_ties(*size, dtype=torch.float64) -> torch.Tensor:
    """Few different numbers, so that most windows hold their maximum more than once."""
    generator = torch.Generator().manual_seed(sum(size))
    return torch.randint(-2, 2, size, generator=generator).to(dtype)


def with_nans(*size, dtype=torch.float64) -> torch.Tensor:
    x = with_ties(*size, dtype=dtype)
    generator = torch.Generator().manual_seed(sum(size))
    return x.masked_fill(torch.rand(size, generator=generator) < 0.25, NAN)


def same(got: torch.Tensor, want: torch.Tensor) -> bool:
    """Equal bit for bit but for the kind of NaN."""
    nan = want.isnan()
    return torch.equal(got.isnan(), nan) and torch.equal(
        got.masked_fill(nan, 0), want.masked_fill(nan, 0)
    )


# ---- max_pool2d -------------------------------------------------------------------------------


def check_max_pool2d(x: torch.Tensor, kwargs: dict, what: str = "") -> None:
    """Values, indices and layouts equal torch's; the gradient is close to it in float64."""
    y, indices = max_pool2d(x, **kwargs, return_indices=True)
    want_y, want_indices = F.max_pool2d(x, **kwargs, return_indices=True)
    assert same(y, want_y), what
    assert indices.dtype is torch.int64 and torch.equal(indices, want_indices), what
    assert y.stride() == want_y.stride() and indices.stride() == want_indices.stride(), what
    assert y.dtype is x.dtype
    assert same(max_pool2d(x, **kwargs), want_y), f"{what}, without indices"

    grad_y = randn(*y.shape, dtype=x.dtype, seed=5)
    _, got = gradients(lambda x: max_pool2d(x, **kwargs), grad_y, x)
    _, want = gradients(lambda x: F.max_pool2d(x, **kwargs), grad_y.double(), x.double())
    _, sizes = gradients(lambda x: F.max_pool2d(x, **kwargs), grad_y.double().abs(), x.double())
    limit = bound(windows_per_pixel(kwargs), magnitude(sizes), eps(x.dtype))
    assert_within(got, want, limit, what)
    assert got.dtype is x.dtype
    for form in FORMATS if x.dim() == 4 else ():
        assert got.is_contiguous(memory_format=form) == x.is_contiguous(memory_format=form), what


def windows_per_pixel(kwargs: dict) -> int:
    """At most: as many as a window has elements."""
    height, width = np.broadcast_to(kwargs["kernel_size"], 2)
    return int(height * width)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", MAX_CASES)
def test_max_pool2d(name: str, dtype: torch.dtype):
    size, kwargs = MAX_CASES[name]
    for kind in (randn, with_ties):
        x = kind(*size, dtype=dtype)
        check_max_pool2d(x, kwargs, kind.__name__)
        check_max_pool2d(x.contiguous(memory_format=torch.channels_last), kwargs, kind.__name__)
        check_max_pool2d(x[0], kwargs, f"{kind.__name__}, unbatched")


@pytest.mark.parametrize("dtype", (*FLOATS, *SHORT), ids=str)
def test_max_pool2d_takes_the_last_nan_and_the_first_maximum(dtype: torch.dtype):
    for name, (size, kwargs) in MAX_CASES.items():
        for memory_format in FORMATS:
            x = with_nans(*size, dtype=dtype).contiguous(memory_format=memory_format)
            y, indices = max_pool2d(x, **kwargs, return_indices=True)
            want_y, want_indices = F.max_pool2d(x, **kwargs, return_indices=True)
            assert same(y, want_y) and torch.equal(indices, want_indices), name
            assert same(max_pool2d(x, **kwargs), want_y), name


def test_max_pool2d_ties_and_nans_by_hand():
    x = torch.tensor([[1.0, 3.0, NAN, 2.0], [3.0, 0.0, 5.0, NAN]])[None, None]
    y, indices = max_pool2d(x, 2, return_indices=True)
    assert y[0, 0, 0, 0] == 3 and y[0, 0, 0, 1].isnan()
    assert indices.flatten().tolist() == [1, 7]


@pytest.mark.parametrize("dtype", (*FLOATS, *SHORT), ids=str)
def test_max_pool2d_of_minus_infinities_points_inside_the_image(dtype: torch.dtype):
    for name, (size, kwargs) in MAX_CASES.items():
        x = torch.full(size, -INF, dtype=dtype)
        y, indices = max_pool2d(x, **kwargs, return_indices=True)
        want_y, want_indices = F.max_pool2d(x, **kwargs, return_indices=True)
        assert torch.equal(y, want_y) and torch.equal(indices, want_indices), name


def test_max_pool2d_of_lowest_numbers_prefers_them_to_padding():
    lowest = torch.finfo(torch.float32).min
    x = torch.full((1, 1, 4, 4), lowest)
    assert torch.equal(max_pool2d(x, 3, 2, 1), torch.full((1, 1, 2, 2), lowest))


def test_max_pool2d_sign_of_zero_is_that_of_the_first():
    x = torch.tensor([[0.0, -0.0], [-0.0, 0.0]])[None, None]
    assert not max_pool2d(x, 2).signbit().item()
    assert max_pool2d(-x, 2).signbit().item() == F.max_pool2d(-x, 2).signbit().item()


@pytest.mark.parametrize("dtype", SHORT, ids=str)
@pytest.mark.parametrize("name", ["lenet", "3x3_stride_2_padded_ceil", "dilated", "overlapping"])
def test_max_pool2d_short_types(name: str, dtype: torch.dtype):
    size, kwargs = MAX_CASES[name]
    x = with_ties(*size, dtype=dtype)
    y, indices = max_pool2d(x, **kwargs, return_indices=True)
    want_y, want_indices = F.max_pool2d(x, **kwargs, return_indices=True)
    assert torch.equal(y, want_y) and torch.equal(indices, want_indices) and y.dtype is dtype
    grad_y = randn(*y.shape, dtype=dtype)
    _, got = gradients(lambda x: max_pool2d(x, **kwargs), grad_y, x)
    _, want = gradients(lambda x: F.max_pool2d(x, **kwargs), grad_y.double(), x.double())
    _, sizes = gradients(lambda x: F.max_pool2d(x, **kwargs), grad_y.double().abs(), x.double())
    limit = bound(windows_per_pixel(kwargs), magnitude(sizes), eps(torch.float32))
    assert_rounded_once(got, want, limit, name)


def test_max_pool2d_nan_gradients_reach_their_pixel_and_no_other():
    x = randn(1, 1, 4, 4)
    grad_y = torch.tensor([[NAN, 1.0], [2.0, INF]], dtype=torch.float64)[None, None]
    _, got = gradients(lambda x: max_pool2d(x, 2), grad_y, x)
    _, want = gradients(lambda x: F.max_pool2d(x, 2), grad_y, x)
    assert same(got, want) and got.isnan().sum() == 1


def test_max_pool2d_gradient_of_nan_input_goes_to_the_nan():
    x = with_nans(2, 3, 8, 8)
    grad_y = randn(2, 3, 4, 4)
    _, got = gradients(lambda x: max_pool2d(x, 2), grad_y, x)
    _, want = gradients(lambda x: F.max_pool2d(x, 2), grad_y, x)
    assert torch.equal(got, want)  # windows do not overlap: nothing is summed


def test_max_pool2d_indices_carry_no_gradient():
    y, indices = max_pool2d(randn(1, 2, 4, 4).requires_grad_(), 2, return_indices=True)
    assert y.requires_grad and not indices.requires_grad
    assert F.max_unpool2d(y, indices, 2).shape == (1, 2, 4, 4)


@pytest.mark.parametrize(
    "arguments",
    [
        ((3,), (2,), (1,), (1,)),
        ([3, 2], [2], [1, 0], [1, 2]),
        (np.int64(3), np.int64(2), np.int64(1), np.int64(1)),
        (3, [], 0, 1),
        (3, (), 0, 1),
        (3, None, 1, 1),
        (torch.tensor(3), torch.tensor(2), 1, 1),
    ],
    ids=repr,
)
def test_max_pool2d_forms_of_arguments(arguments: tuple):
    x = randn(1, 2, 9, 9)
    assert torch.equal(max_pool2d(x, *arguments), F.max_pool2d(x, *arguments))


def test_max_pool2d_return_indices_of_any_truth_value():
    x = randn(1, 2, 4, 4)
    for truth in (1, True):
        assert len(max_pool2d(x, 2, return_indices=truth)) == 2
    for truth in (0, False):
        assert isinstance(max_pool2d(x, 2, return_indices=truth), torch.Tensor)
    _, indices = max_pool2d(x.requires_grad_(), 2, None, 0, 1, False, True)
    assert torch.equal(indices, F.max_pool2d(x, 2, None, 0, 1, False, True)[1])


# ---- avg_pool2d and adaptive_avg_pool2d -------------------------------------------------------


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
            limit = bound(terms, magnitude(t), eps(torch.float32))
            assert_rounded_once(g, reference, limit, f"{name} {what}")
        else:
            assert_within(g, reference, bound(terms, magnitude(t), eps(x.dtype)), f"{name} {what}")


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
        assert_within(y[0, 0], want, bound(9, magnitude(want), eps(y.dtype)))


def test_averages_spread_nan_no_further_than_their_windows():
    x = randn(1, 2, 6, 6)
    x[0, 1, 2, 3] = NAN
    for memory_format in FORMATS:
        t = x.contiguous(memory_format=memory_format)
        for ours, torchs in (
            (avg_pool2d(t, 2), F.avg_pool2d(t, 2)),
            (avg_pool2d(t, 3, 1, 1), F.avg_pool2d(t, 3, 1, 1)),
            (adaptive_avg_pool2d(t, 4), F.adaptive_avg_pool2d(t, 4)),
        ):
            assert torch.equal(ours.isnan(), torchs.isnan())
            assert_within(ours.nan_to_num(), torchs.nan_to_num(), bound(9, 4.0, eps(x.dtype)))


def test_averages_of_integers_sum_exactly():
    x = with_ties(2, 3, 8, 8, dtype=torch.float32)
    assert torch.equal(avg_pool2d(x, 4, divisor_override=1), F.avg_pool2d(x, 4, divisor_override=1))
    assert torch.equal(adaptive_avg_pool2d(x, 2), F.adaptive_avg_pool2d(x, 2))  # 16: exact


# ---- all of them ------------------------------------------------------------------------------

POOLS = {
    "max_pool2d": (max_pool2d, F.max_pool2d, (3, 2, 1)),
    "avg_pool2d": (avg_pool2d, F.avg_pool2d, (3, 2, 1)),
    "adaptive_avg_pool2d": (adaptive_avg_pool2d, F.adaptive_avg_pool2d, (4,)),
}
ANY_POOL = pytest.mark.parametrize("pool", POOLS)


def views(t: torch.Tensor) -> dict[str, torch.Tensor]:
    n, c, h, w = t.shape
    wide = torch.full((n, c + 2, h, 2 * w + 1), NAN, dtype=t.dtype)
    wide[:, 1:-1, :, 1::2] = t
    return {
        "sliced": wide[:, 1:-1, :, 1::2],
        "transposed": t.transpose(2, 3).contiguous().transpose(2, 3),
        "batch_innermost": t.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
        "negative_bit": torch.complex(torch.zeros_like(t), -t).conj().imag,
        "expanded_over_batch": t[:1].expand(t.shape),
        "expanded_over_channels": t[:, :1].expand(t.shape),
        "one_number": t[:1, :1, :1, :1].expand(t.shape),
    }


@ANY_POOL
@pytest.mark.parametrize("view", tuple(views(torch.zeros(2, 2, 2, 2))))
def test_views(pool: str, view: str):
    ours, torchs, arguments = POOLS[pool]
    x = randn(2, 3, 7, 8)
    grad_y = randn(*torchs(x, *arguments).shape, seed=4)
    for t, g in (
        (views(x)[view], grad_y),
        (x, views(grad_y)[view]),
        (x.contiguous(memory_format=torch.channels_last), views(grad_y)[view]),
    ):
        got = gradients(lambda x: ours(x, *arguments), g, t)
        want = gradients(lambda x: torchs(x, *arguments), g, t)
        most = magnitude(t) + 4 * magnitude(g)  # a pixel lies in at most 2 x 2 windows
        for a, b in zip(got, want, strict=True):
            assert_within(
                a, b, 0 if a is got[0] and "max" in pool else bound(9, most, eps(x.dtype))
            )


@ANY_POOL
def test_memory_formats_are_torchs(pool: str):
    ours, torchs, arguments = POOLS[pool]
    for size in (
        (2, 3, 7, 8),
        (2, 1, 7, 8),
        (1, 3, 7, 8),
        (2, 3, 4, 1),
        (2, 3, 3, 3),
        (2, 3, 2, 2),
    ):
        for memory_format in FORMATS:
            for dtype in (*FLOATS, *SHORT):
                x = randn(*size, dtype=dtype).contiguous(memory_format=memory_format)
                assert ours(x, *arguments).stride() == torchs(x, *arguments).stride(), (
                    size,
                    x.stride(),
                )


@ANY_POOL
def test_empty_batch(pool: str):
    ours, torchs, arguments = POOLS[pool]
    x = torch.empty(0, 3, 7, 8)
    want = torchs(x, *arguments)
    y, grad_x = gradients(lambda x: ours(x, *arguments), torch.empty_like(want), x)
    assert y.shape == want.shape and grad_x.shape == x.shape


@ANY_POOL
def test_arguments_are_left_alone(pool: str):
    ours, torchs, arguments = POOLS[pool]
    for memory_format in FORMATS:
        x = randn(2, 3, 7, 8).contiguous(memory_format=memory_format)
        grad_y = randn(2, 3, 4, 4)
        copies = x.clone(), grad_y.clone()
        results = gradients(lambda x: ours(x, *arguments), grad_y, x)
        assert x._version == grad_y._version == 0
        assert torch.equal(x, copies[0]) and torch.equal(grad_y, copies[1])
        addresses = {t.untyped_storage().data_ptr() for t in (*results, x, grad_y)}
        assert len(addresses) == 4


@ANY_POOL
def test_pool_that_changes_nothing_returns_new_memory(pool: str):
    ours, x = POOLS[pool][0], randn(1, 1, 3, 3)
    y = ours(x, 3 if "adaptive" in pool else 1)
    assert torch.equal(x, y)
    y.zero_()
    assert x.count_nonzero() == 9


@ANY_POOL
def test_no_grad_and_inference_mode(pool: str):
    ours, _, arguments = POOLS[pool]
    x = randn(2, 3, 7, 8).requires_grad_()
    want = ours(x, *arguments)
    assert want.requires_grad
    with torch.no_grad():
        y = ours(x, *arguments)
        assert not y.requires_grad and torch.equal(y, want)
    with torch.inference_mode():
        y = ours(x, *arguments)
        assert y.is_inference() and torch.equal(y, want)


@ANY_POOL
def test_input_changed_after_the_call_does_not_matter(pool: str):
    """The derivative of a pool does not need the input's values, only where the maxima were."""
    ours, _, arguments = POOLS[pool]
    leaf = randn(2, 3, 7, 8).requires_grad_()
    (want,) = torch.autograd.grad(ours(leaf, *arguments).sum(), leaf)
    working = leaf * 1
    y = ours(working, *arguments)
    working.detach().zero_()
    (got,) = torch.autograd.grad(y.sum(), leaf)
    assert torch.equal(got, want)


def test_indices_changed_in_place_do_not_reach_the_gradient():
    """The gradient keeps its own record of the maxima; torch, which keeps the indices, raises."""
    x = randn(1, 1, 4, 4).requires_grad_()
    y, indices = max_pool2d(x, 2, return_indices=True)
    indices.zero_()
    y.sum().backward()
    assert torch.equal(x.grad, (x == F.interpolate(y, scale_factor=2)).to(x.dtype))


@ANY_POOL
def test_one_operator_forward_and_one_backward(pool: str):
    ours, _, arguments = POOLS[pool]
    x = randn(2, 3, 7, 8).requires_grad_()
    with Operators() as seen:
        ours(x, *arguments).sum().backward()
    assert seen.names == [pool, f"{pool}_backward"]
    with Operators() as seen:
        ours(x.detach(), *arguments)
    assert seen.names == [pool]


@pytest.fixture
def no_handovers():
    fastconv.handovers(reset=True)
    yield
    fastconv.handovers(reset=True)


@pytest.mark.parametrize("dtype", (torch.int64, torch.int32, torch.int8, torch.uint8), ids=str)
def test_integer_max_pool2d_is_handed_over(dtype: torch.dtype, no_handovers):
    x = (randn(1, 2, 6, 6) * 50).abs().to(dtype)
    assert torch.equal(max_pool2d(x, 3, 2, 1), F.max_pool2d(x, 3, 2, 1))
    assert fastconv.handovers() == {("max_pool2d", "dtype"): 1}
    y, indices = max_pool2d(x, 2, return_indices=True)
    want, want_indices = F.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(y, want) and torch.equal(indices, want_indices)
    assert sum(fastconv.handovers().values()) == 2


def test_int64_avg_pool2d_is_handed_over(no_handovers):
    x = torch.arange(32).view(1, 2, 4, 4)
    assert torch.equal(avg_pool2d(x, 2), F.avg_pool2d(x, 2))
    assert fastconv.handovers() == {("avg_pool2d", "dtype"): 1}


def test_meta_tensors_are_torchs_affair(no_handovers):
    x = torch.empty(2, 3, 8, 8, device="meta")
    for pool, (ours, torchs, arguments) in POOLS.items():
        assert ours(x, *arguments).shape == torchs(x, *arguments).shape
        assert fastconv.handovers(reset=True) == {(pool, "device"): 1}


def test_types_without_pooling_are_an_error_and_no_handover(no_handovers):
    for ours, torchs, arguments in POOLS.values():
        for dtype in (torch.bool, torch.complex64):
            x = torch.ones(1, 1, 6, 6, dtype=dtype)
            with pytest.raises(NotImplementedError) as theirs:
                torchs(x, *arguments)
            with pytest.raises(NotImplementedError) as raised:
                ours(x, *arguments)
            assert str(raised.value) == str(theirs.value)
    assert fastconv.handovers() == {}


def test_floats_are_not_handed_over(no_handovers):
    for ours, _, arguments in POOLS.values():
        for dtype in (*FLOATS, *SHORT):
            x = randn(2, 3, 7, 8, dtype=dtype).requires_grad_()
            ours(x, *arguments).sum().backward()
            ours(x[0], *arguments)
            ours(x[:0], *arguments)
    adaptive_avg_pool2d(randn(1, 1, 4, 4), (None, 2))
    assert fastconv.handovers() == {}


@ANY_POOL
def test_tensor_of_zeros_without_memory(pool: str):
    ours, torchs, arguments = POOLS[pool]
    zeros = torch._efficientzerotensor((2, 3, 7, 8))
    assert torch.equal(ours(zeros, *arguments) + 0, torchs(torch.zeros(2, 3, 7, 8), *arguments))


@ANY_POOL
def test_keyword_arguments_by_torch_names(pool: str):
    ours, torchs, _ = POOLS[pool]
    x = randn(1, 2, 8, 8)
    window = {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}
    kwargs = {
        "max_pool2d": {**window, "dilation": 1, "return_indices": False},
        "avg_pool2d": {**window, "count_include_pad": False, "divisor_override": None},
        "adaptive_avg_pool2d": {"output_size": (3, 3)},
    }[pool]
    got, want = ours(input=x, **kwargs), torchs(input=x, **kwargs)
    assert_within(got, want, bound(9, magnitude(x), eps(x.dtype)))
