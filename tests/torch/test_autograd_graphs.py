"""Graphs kept, built upon, checkpointed, hooked into and run by several threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from derivatives import POOLS, network, network_tensors
from reference import assert_all_equal, gradients
from tensors import distinct, whole
from torch.utils.checkpoint import checkpoint

from fastconv import functional

F = torch.nn.functional


def test_retain_graph_and_accumulation():
    x, w = whole(1, 2, 4, 4).requires_grad_(), whole(3, 2, 2, 2).requires_grad_()
    y = functional.conv2d(x, w).square().sum()
    y.backward(retain_graph=True)
    once = [t.grad.clone() for t in (x, w)]
    y.backward()
    assert all(torch.equal(t.grad, 2 * g) for t, g in zip((x, w), once, strict=True))


def test_create_graph_of_every_gradient():
    results = []
    for package in (functional, F):
        leaves = [t.requires_grad_() for t in network_tensors()]
        first = torch.autograd.grad(network(package)(*leaves), leaves, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), leaves)
        results.append((*first, *second))
    assert_all_equal(*results)


def test_gradient_without_create_graph_does_not_require_grad():
    x, w = whole(1, 2, 4, 4).requires_grad_(), whole(3, 2, 2, 2).requires_grad_()
    g = torch.autograd.grad(functional.conv2d(x, w).sum(), (x, w))
    assert not any(t.requires_grad for t in g)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpoint(use_reentrant: bool):
    results = []
    for package in (functional, F):
        x, w, b = (t.requires_grad_() for t in network_tensors())
        y = checkpoint(network(package), x, w, b, use_reentrant=use_reentrant)
        y.backward()
        results.append((y.detach(), x.grad, w.grad, b.grad))
    assert_all_equal(*results)


def test_saved_tensors_hooks_see_what_is_saved():
    x, w = whole(1, 2, 4, 4).requires_grad_(), whole(3, 2, 2, 2).requires_grad_()
    want = gradients(F.conv2d, torch.ones(1, 3, 3, 3).double(), x, w)[1:]
    packed = []

    def pack(t):
        packed.append(t.shape)
        return t.clone()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y = functional.conv2d(x, w)
    assert sorted(packed) == sorted([x.shape, w.shape])
    assert_all_equal(torch.autograd.grad(y.sum(), (x, w)), want)


def test_tensor_hooks_and_retained_gradients():
    x, w = whole(1, 2, 4, 4).requires_grad_(), whole(3, 2, 2, 2).requires_grad_()
    y = functional.conv2d(x, w)
    y.retain_grad()
    x.register_hook(lambda g: 2 * g)
    y.sum().backward()
    want = gradients(F.conv2d, torch.ones_like(y), x, w)[1:]
    assert torch.equal(y.grad, torch.ones_like(y))
    assert_all_equal((x.grad, w.grad), (2 * want[0], want[1]))


def test_anomaly_mode():
    x, w = whole(1, 2, 4, 4).requires_grad_(), whole(3, 2, 2, 2).requires_grad_()
    with torch.autograd.detect_anomaly(check_nan=True), pytest.raises(RuntimeError, match="nan"):
        functional.conv2d(x, w).mul(float("nan")).sum().backward()


def test_deterministic_algorithms():
    torch.use_deterministic_algorithms(True)
    try:
        for pool, size, args in POOLS.values():
            getattr(functional, pool)(distinct(*size).requires_grad_(), *args).sum().backward()
        x, w = whole(1, 2, 4, 4).requires_grad_(), whole(3, 2, 2, 2).requires_grad_()
        functional.conv2d(x, w).sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)


def test_output_nobody_used_has_no_gradient():
    x = distinct(1, 2, 4, 4).requires_grad_()
    _, indices = functional.max_pool2d(x, 2, return_indices=True)
    assert indices.grad_fn is None and not indices.requires_grad


def test_backward_in_threads():
    def run(seed: int):
        x, w = whole(2, 3, 9, 9, seed=seed), whole(4, 3, 2, 2, seed=seed)
        grad_y = whole(2, 4, 8, 8, seed=seed)
        return [gradients(c, grad_y, x, w) for c in (functional.conv2d, F.conv2d)]

    with ThreadPoolExecutor(4) as pool:
        for got, want in pool.map(run, range(16)):
            assert_all_equal(got, want)
