"""What all pools of fastconv.functional share: views, layouts, modes, what is left to torch.

Wrong arguments are test_errors_pool.py's.
"""

import pytest
import torch
from reference import assert_within, dot_bound, gradients, magnitude
from seen import Operators
from tensors import FLOATS, FORMATS, SHORT, randn, views

import fastconv
from fastconv.functional import adaptive_avg_pool2d, avg_pool2d, max_pool2d

F = torch.nn.functional

POOLS = {
    "max_pool2d": (max_pool2d, F.max_pool2d, (3, 2, 1)),
    "avg_pool2d": (avg_pool2d, F.avg_pool2d, (3, 2, 1)),
    "adaptive_avg_pool2d": (adaptive_avg_pool2d, F.adaptive_avg_pool2d, (4,)),
}
ANY_POOL = pytest.mark.parametrize("pool", POOLS)

VIEWS = (
    "sliced",
    "transposed",
    "batch_innermost",
    "negative_bit",
    "expanded_over_batch",
    "expanded_over_channels",
    "one_number",
)


@ANY_POOL
@pytest.mark.parametrize("view", VIEWS)
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
            assert_within(a, b, 0 if a is got[0] and "max" in pool else dot_bound(9, most, x.dtype))


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
            with pytest.raises(RuntimeError) as theirs:
                torchs(x, *arguments)
            with pytest.raises(RuntimeError) as raised:
                ours(x, *arguments)
            assert raised.type is theirs.type and str(raised.value) == str(theirs.value)
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
    assert_within(got, want, dot_bound(9, magnitude(x), x.dtype))
