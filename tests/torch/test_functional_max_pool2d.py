"""fastconv.functional.max_pool2d against torch, exactly: values, indices, NaNs, gradients."""

import numpy as np
import pytest
import torch
from pools import MAX_CASES, same, windows_per_pixel
from reference import assert_rounded_once, assert_within, dot_bound, gradients, magnitude
from tensors import FLOATS, FORMATS, SHORT, randn, with_nans, with_ties

from fastconv.core import eager
from fastconv.functional import max_pool2d

F = torch.nn.functional
NAN, INF = float("nan"), float("inf")


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
    limit = dot_bound(windows_per_pixel(kwargs), magnitude(sizes), x.dtype)
    assert_within(got, want, limit, what)
    assert got.dtype is x.dtype
    for form in FORMATS if x.dim() == 4 else ():
        assert got.is_contiguous(memory_format=form) == x.is_contiguous(memory_format=form), what


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
    limit = dot_bound(windows_per_pixel(kwargs), magnitude(sizes), torch.float32)
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


@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
@pytest.mark.parametrize("kernel", [2, (17, 16)])
def test_max_pool2d_indices_take_no_memory_but_their_own(kernel, memory_format):
    """All bytes asked for are those of the output, of its codes, and of the indices."""
    x = randn(2, 8, 40, 48).contiguous(memory_format=memory_format)
    kwargs = {"kernel_size": kernel, "stride": 2, "return_indices": True}
    with torch.profiler.profile(profile_memory=True) as profile:
        y, indices = max_pool2d(x, **kwargs)
    asked = sum(max(0, e.self_cpu_memory_usage) for e in profile.events())
    code_bytes = 1 if kernel == 2 else 4
    assert asked == y.nbytes + indices.nbytes + code_bytes * y.numel()
    assert torch.equal(indices, F.max_pool2d(x, **kwargs)[1])


def test_max_pool2d_with_indices_is_a_plain_call_with_and_without_a_gradient():
    for size in ((1, 2, 6, 8), (2, 3, 300, 305)):  # the larger indices go past the caches
        for memory_format in FORMATS:
            x = randn(*size).contiguous(memory_format=memory_format)
            want, want_indices = F.max_pool2d(x, 2, return_indices=True)
            for leaf in (x, x.clone().requires_grad_()):
                plain = eager.max_pool2d_with_indices(leaf, 2, None, 0, 1, False)
                if leaf.requires_grad and "_torch" not in eager.hosts:
                    assert plain is None  # the general way records
                    continue
                y, indices = plain
                assert same(y, want) and torch.equal(indices, want_indices)
                assert y.requires_grad == leaf.requires_grad and not indices.requires_grad
                if leaf.requires_grad:
                    (grad_x,) = torch.autograd.grad(y, leaf, want)
                    exact = torch.zeros_like(x).flatten(2)
                    exact.scatter_(2, want_indices.flatten(2), want.flatten(2))
                    assert torch.equal(grad_x, exact.view_as(x))


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
    if isinstance(arguments[0], torch.Tensor) and torch.__version__ < "2.5":
        with pytest.raises(RuntimeError, match="kernel_size must either be a single int"):
            max_pool2d(x, *arguments)
        return
    assert torch.equal(max_pool2d(x, *arguments), F.max_pool2d(x, *arguments))


def test_max_pool2d_return_indices_of_any_truth_value():
    x = randn(1, 2, 4, 4)
    for truth in (1, True):
        assert len(max_pool2d(x, 2, return_indices=truth)) == 2
    for truth in (0, False):
        assert isinstance(max_pool2d(x, 2, return_indices=truth), torch.Tensor)
    _, indices = max_pool2d(x.requires_grad_(), 2, None, 0, 1, False, True)
    assert torch.equal(indices, F.max_pool2d(x, 2, None, 0, 1, False, True)[1])
