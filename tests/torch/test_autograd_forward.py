"""Forward mode through fastconv.functional, beside torch's."""

import pytest
import torch
from derivatives import POOLS
from reference import assert_all_equal, assert_within, dot_bound, magnitude
from tensors import distinct, whole
from torch.autograd import forward_ad
from torch.func import jvp

from fastconv import functional

F = torch.nn.functional


@pytest.mark.parametrize("dual", ["x", "w", "b", "xw", "xb", "xwb"])
def test_forward_mode_of_conv2d(dual: str):
    tensors = {"x": whole(2, 2, 4, 4), "w": whole(3, 2, 2, 2, seed=1), "b": whole(3, seed=2)}
    results = []
    with forward_ad.dual_level():
        duals = [
            forward_ad.make_dual(t, t * 2 + 1) if name in dual else t for name, t in tensors.items()
        ]
        for conv in (functional.conv2d, F.conv2d):
            results.append(tuple(forward_ad.unpack_dual(conv(*duals, padding=1))))
            with torch.no_grad():
                assert forward_ad.unpack_dual(conv(*duals)).tangent is not None
    assert_all_equal(*results)
    assert results[0][1] is not None


@pytest.mark.parametrize("name", POOLS)
def test_forward_mode_of_pools(name: str):
    pool, size, args = POOLS[name]
    x = distinct(*size)
    results = []
    with forward_ad.dual_level():
        for package in (functional, F):
            y = getattr(package, pool)(forward_ad.make_dual(x, 8 * x + 1), *args)
            results.append(forward_ad.unpack_dual(y))
    limit = dot_bound(x.numel(), magnitude(8 * x + 1), x.dtype)
    for got, want in zip(*results, strict=True):
        assert_within(got, want, 0 if name.startswith("max") else limit)


def test_forward_mode_without_tangent_is_left_alone():
    with forward_ad.dual_level():
        y = functional.conv2d(whole(1, 1, 3, 3), whole(1, 1, 2, 2))
        assert forward_ad.unpack_dual(y).tangent is None


def test_forward_over_reverse_by_dual_numbers():
    results = []
    for conv in (functional.conv2d, F.conv2d):
        with forward_ad.dual_level():
            x = whole(1, 2, 4, 4).requires_grad_()
            w = forward_ad.make_dual(whole(2, 2, 2, 2), whole(2, 2, 2, 2, seed=3))
            (g,) = torch.autograd.grad(conv(x, w).square().sum(), x, create_graph=True)
            results.append(tuple(t.detach() for t in forward_ad.unpack_dual(g)))
    assert_all_equal(*results)


def test_tangent_of_an_unbatched_input_with_bias_alone():
    results = []
    for conv in (functional.conv2d, F.conv2d):
        b = whole(3)
        results.append(jvp(lambda b, c=conv: c(whole(2, 4, 4), whole(3, 2, 2, 2), b), (b,), (b,)))
    assert_all_equal(*results)
