"""Derivatives by torch.func, of any kind and order, of fastconv.functional: equal to torch's."""

from collections.abc import Callable

import pytest
import torch
from derivatives import CONVS, network, network_tensors
from reference import assert_all_equal
from tensors import whole
from torch import Tensor
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp

from fastconv import functional

F = torch.nn.functional

TRANSFORMS = {
    "grad": lambda f, *t: grad(f, argnums=(0, 1, 2))(*t),
    "grad_weight": lambda f, *t: grad(f, argnums=1)(*t),
    "grad_and_value": lambda f, *t: torch.func.grad_and_value(f, argnums=(0, 2))(*t),
    "vjp": lambda f, *t: vjp(f, *t)[1](torch.tensor(3.0).double()),
    "jvp": lambda f, *t: jvp(f, t, tuple(torch.ones_like(a) for a in t)),
    "jvp_of_weight": lambda f, x, w, b: jvp(lambda w: f(x, w, b), (w,), (w + 1,)),
    "jvp_of_bias": lambda f, x, w, b: jvp(lambda b: f(x, w, b), (b,), (b + 1,)),
    "jacrev": lambda f, *t: jacrev(f, argnums=(0, 1, 2))(*t),
    "jacfwd": lambda f, *t: jacfwd(f, argnums=(0, 1, 2))(*t),
    "hessian_of_weight": lambda f, *t: hessian(f, argnums=1)(*t),
    "hessian_of_bias": lambda f, *t: hessian(f, argnums=2)(*t),
    "jacrev_of_jacrev": lambda f, *t: jacrev(jacrev(f, argnums=1), argnums=0)(*t),
    "jacfwd_of_jacfwd": lambda f, *t: jacfwd(jacfwd(f, argnums=1), argnums=2)(*t),
    "jacrev_of_jacfwd": lambda f, *t: jacrev(jacfwd(f, argnums=2), argnums=1)(*t),
    "linearize": lambda f, *t: torch.func.linearize(f, *t)[1](*t),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transform(name: str):
    tensors = network_tensors()
    got, want = (TRANSFORMS[name](network(package), *tensors) for package in (functional, F))
    assert_all_equal(got, want)


@pytest.mark.xfail(strict=True, raises=RuntimeError, reason="torch has no rule for any Function")
def test_functionalize():
    x, w, b = network_tensors()
    assert torch.equal(torch.func.functionalize(network(functional))(x, w, b), network(F)(x, w, b))


@pytest.mark.parametrize("name", CONVS)
def test_jacobians_of_conv2d(name: str):
    x_size, w_size, kwargs = CONVS[name]
    if name == "3x3_padded":
        w_size = (2, 2, 2, 3)
    tensors = whole(*x_size), whole(*w_size, seed=1), whole(w_size[0], seed=2)
    for transform in (jacrev, jacfwd):
        got, want = (
            transform(lambda *t, c=c: c(*t, **kwargs).square(), argnums=(0, 1, 2))(*tensors)
            for c in (functional.conv2d, F.conv2d)
        )
        assert_all_equal(got, want)


def test_third_derivative():
    x, w = whole(1, 2, 4, 4), whole(2, 2, 2, 2)

    def third(conv: Callable) -> Tensor:
        cube = lambda s: conv(x * s, w * s.square()).pow(3).sum()  # noqa: E731
        return grad(grad(grad(cube)))(torch.tensor(2.0).double())

    got = third(functional.conv2d)
    assert got != 0 and torch.equal(got, third(F.conv2d))


def test_third_derivative_by_create_graph():
    results = []
    for conv in (functional.conv2d, F.conv2d):
        x, w = whole(1, 2, 4, 4).requires_grad_(), whole(2, 2, 2, 2).requires_grad_()
        value = conv(x, w).pow(3).sum()
        for t in (w, x, w):
            value = torch.autograd.grad(value, t, create_graph=True)[0].square().sum()
        results.append(value)
    assert torch.equal(*results) and results[0].requires_grad
