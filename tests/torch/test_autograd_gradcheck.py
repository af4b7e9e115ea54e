"""First and second derivatives of fastconv.functional against finite differences."""

import pytest
import torch
from derivatives import CONVS, POOLS, conv_inputs
from tensors import distinct, whole
from torch.autograd import gradcheck, gradgradcheck

from fastconv import functional

FIRST = {
    "check_forward_ad": True,
    "check_batched_grad": True,
    "check_batched_forward_grad": True,
}
SECOND = {"check_fwd_over_rev": True, "check_rev_over_rev": True, "check_batched_grad": True}


@pytest.mark.parametrize("name", CONVS)
def test_gradcheck_conv2d(name: str):
    kwargs = CONVS[name][2]
    assert gradcheck(lambda *t: functional.conv2d(*t, **kwargs), conv_inputs(name), **FIRST)


@pytest.mark.parametrize("name", CONVS)
def test_gradgradcheck_conv2d(name: str):
    kwargs = CONVS[name][2]
    assert gradgradcheck(lambda *t: functional.conv2d(*t, **kwargs), conv_inputs(name), **SECOND)


@pytest.mark.parametrize("name", ["plain", "strided_padded", "groups", "depthwise_strided"])
def test_gradcheck_conv2d_channels_last(name: str):
    inputs, kwargs = conv_inputs(name, torch.channels_last), CONVS[name][2]
    function = lambda *t: functional.conv2d(*t, **kwargs)  # noqa: E731
    assert gradcheck(function, inputs, **FIRST)
    assert gradgradcheck(function, inputs, **SECOND)


@pytest.mark.parametrize("name", POOLS)
def test_gradcheck_pools(name: str):
    pool, size, args = POOLS[name]
    x = distinct(*size).requires_grad_()
    function = lambda x: getattr(functional, pool)(x, *args)  # noqa: E731
    assert gradcheck(function, (x,), **FIRST)
    assert gradgradcheck(function, (x,), **SECOND)


def test_gradcheck_max_pool2d_with_indices():
    x = distinct(1, 2, 4, 4).requires_grad_()
    function = lambda x: functional.max_pool2d(x, 2, return_indices=True)[0]  # noqa: E731
    assert gradcheck(function, (x,), **FIRST)
    assert gradgradcheck(function, (x,), **SECOND)


@pytest.mark.parametrize("needed", ["x", "w", "b", "xw", "xb", "wb"])
def test_gradcheck_of_some_of_the_tensors(needed: str):
    tensors = dict(zip("xwb", conv_inputs("plain"), strict=True))
    for name, t in tensors.items():
        t.requires_grad_(name in needed)
    assert gradcheck(functional.conv2d, tuple(tensors.values()), **FIRST)
    if needed != "b":  # linear: its gradient does not depend on it
        assert gradgradcheck(functional.conv2d, tuple(tensors.values()), **SECOND)


def test_gradcheck_of_convolution_with_itself():
    t = whole(2, 2, 3, 3).requires_grad_()
    function = lambda t: functional.conv2d(t, t, padding=1)  # noqa: E731
    assert gradcheck(function, (t,), **FIRST) and gradgradcheck(function, (t,), **SECOND)
