"""Derivatives of any kind and order, and the tools that watch operators, over fastconv.functional.

gradcheck for the mathematics. Elsewhere tensors hold small whole numbers in float64 and windows
have 2 x 2 elements: every sum is exact, so results must equal torch's.
"""

from collections.abc import Callable

import pytest
import torch
from reference import assert_within, bound, eps, gradients, magnitude
from seen import Operators
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import fastconv
from fastconv import functional

F = torch.nn.functional
vmap = torch.func.vmap


def whole(*size, seed=0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(size))
    return torch.randint(-3, 4, size, generator=generator).double()


def distinct(*size) -> Tensor:
    """No two alike, 1 apart: neither ties, nor a finite difference that changes a maximum."""
    generator = torch.Generator().manual_seed(sum(size))
    count = torch.Size(size).numel()
    return torch.randperm(count, generator=generator).double().view(size) - count // 2


# ---- gradcheck --------------------------------------------------------------------------------

# name: (input, weight, arguments)
CONVS = {
    "plain": ((2, 2, 4, 3), (3, 2, 2, 2), {}),
    "3x3_padded": ((1, 2, 3, 4), (2, 2, 3, 3), {"padding": 1}),
    "strided_padded": ((1, 2, 5, 4), (2, 2, 3, 2), {"stride": 2, "padding": (1, 0)}),
    "stride_skips_rows": ((1, 1, 6, 5), (2, 1, 2, 2), {"stride": 3}),
    "dilated": ((1, 2, 5, 4), (2, 2, 2, 2), {"dilation": (3, 2), "padding": 1}),
    "groups": ((2, 4, 3, 3), (4, 2, 2, 2), {"groups": 2}),
    "depthwise_strided": ((1, 3, 4, 4), (3, 1, 2, 2), {"groups": 3, "stride": 2, "padding": 1}),
    "same_even": ((1, 2, 3, 3), (2, 2, 2, 2), {"padding": "same"}),
    "pointwise": ((2, 3, 2, 2), (2, 3, 1, 1), {}),
    "unbatched": ((2, 4, 3), (3, 2, 2, 2), {"padding": 1}),
}
# name: (pool, input, arguments)
POOLS = {
    "max": ("max_pool2d", (2, 2, 4, 4), (2,)),
    "max_overlapping_padded": ("max_pool2d", (1, 2, 5, 4), (3, 2, 1)),
    "max_dilated_ceil": ("max_pool2d", (1, 2, 5, 6), (2, 2, 1, 2, True)),
    "max_unbatched": ("max_pool2d", (2, 4, 4), (2,)),
    "avg": ("avg_pool2d", (2, 2, 4, 4), (2,)),
    "avg_ceil_exclude": ("avg_pool2d", (1, 2, 5, 4), (3, 2, 1, True, False)),
    "avg_divisor": ("avg_pool2d", (1, 2, 4, 4), ((2, 3), 1, 0, False, True, -5)),
    "avg_unbatched": ("avg_pool2d", (2, 4, 4), (2,)),
    "adaptive": ("adaptive_avg_pool2d", (2, 2, 5, 4), ((3, 2),)),
    "adaptive_larger": ("adaptive_avg_pool2d", (1, 2, 3, 2), (5,)),
    "adaptive_global": ("adaptive_avg_pool2d", (2, 3, 4, 3), (1,)),
}
FIRST = {
    "check_forward_ad": True,
    "check_batched_grad": True,
    "check_batched_forward_grad": True,
}
SECOND = {"check_fwd_over_rev": True, "check_rev_over_rev": True, "check_batched_grad": True}


def conv_inputs(name: str, memory_format=torch.contiguous_format) -> tuple[Tensor, ...]:
    x_size, w_size, _ = CONVS[name]
    generator = torch.Generator().manual_seed(0)
    tensors = [
        torch.randn(size, generator=generator, dtype=torch.float64)
        for size in (x_size, w_size, w_size[:1])
    ]
    if len(x_size) == 4:
        tensors[:2] = (t.contiguous(memory_format=memory_format) for t in tensors[:2])
    return tuple(t.requires_grad_() for t in tensors)


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


# ---- torch.func, exactly ----------------------------------------------------------------------


def network(package) -> Callable:
    """A number from an image (2, 5, 5), through all four functions and squares."""

    def run(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        y = package.conv2d(x, w, b, padding=1)  # 6 x 6
        y = package.max_pool2d(y.square(), 2, 1)  # 5 x 5
        y = package.conv2d(y, w[:2], stride=1)  # 4 x 4
        y = package.avg_pool2d(y, 2)
        return package.adaptive_avg_pool2d(y, 1).square().sum()

    return run


def network_tensors() -> tuple[Tensor, Tensor, Tensor]:
    return distinct(2, 5, 5) % 7 - 3, whole(2, 2, 2, 2, seed=1), whole(2, seed=2)


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


def assert_equal_trees(got, want) -> None:
    got, want = torch.utils._pytree.tree_leaves(got), torch.utils._pytree.tree_leaves(want)
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape and a.dtype is b.dtype
        assert torch.equal(a, b), (a - b).abs().max()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transform(name: str):
    tensors = network_tensors()
    got, want = (TRANSFORMS[name](network(package), *tensors) for package in (functional, F))
    assert_equal_trees(got, want)


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
        assert_equal_trees(got, want)


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


# name: (x, w, bias) without the batch of vmap, in_dims, arguments
VMAPS = {
    "input": ((2, 4, 5, 5), (4, 4, 2, 2), 4, (0, None, None), {}),
    "input_unbatched": ((4, 5, 5), (4, 4, 2, 2), 4, (0, None, None), {}),
    "input_inner_dim": ((2, 4, 5, 5), (4, 4, 2, 2), 4, (2, None, None), {}),
    "input_last_dim": ((2, 4, 5, 5), (4, 4, 2, 2), 4, (-1, None, None), {"stride": 2}),
    "weight": ((2, 4, 5, 5), (4, 4, 2, 2), 4, (None, 0, None), {"padding": 1}),
    "weight_inner_dim": ((2, 4, 5, 5), (4, 4, 2, 2), 4, (None, 3, None), {}),
    "weight_groups": ((2, 4, 5, 5), (4, 2, 2, 2), 4, (None, 0, None), {"groups": 2}),
    "bias": ((2, 4, 5, 5), (4, 4, 2, 2), 4, (None, None, 0), {}),
    "bias_last_dim": ((2, 4, 5, 5), (4, 4, 2, 2), 4, (None, None, 1), {}),
    "ensemble": ((2, 4, 5, 5), (4, 4, 2, 2), 4, (None, 0, 0), {"dilation": 2}),
    "input_and_weight": ((2, 4, 5, 5), (4, 4, 2, 2), 4, (0, 0, None), {}),
    "input_and_bias": ((2, 4, 5, 5), (4, 4, 2, 2), 4, (1, None, 0), {}),
    "all": ((2, 4, 5, 5), (4, 4, 2, 2), 4, (0, 0, 0), {"padding": (1, 0), "stride": (1, 2)}),
    "all_other_dims": ((2, 4, 5, 5), (4, 4, 2, 2), 4, (3, 1, 1), {}),
    "all_groups": ((2, 4, 5, 5), (4, 2, 2, 2), 4, (0, 2, 0), {"groups": 2}),
    "all_depthwise": ((4, 5, 5), (4, 1, 2, 2), 4, (0, 0, 0), {"groups": 4}),
    "all_same": ((2, 4, 5, 5), (4, 4, 2, 2), 4, (0, 0, 0), {"padding": "same"}),
    "one_output_channel": ((2, 1, 5, 5), (1, 1, 2, 2), 1, (0, 0, 0), {}),
}


def with_batch(size, dim: int | None, batch: int = 3, seed: int = 0) -> Tensor:
    if dim is None:
        return whole(*size, seed=seed)
    return whole(batch, *size, seed=seed).movedim(0, dim)


@pytest.mark.parametrize("name", VMAPS)
def test_vmap_conv2d(name: str):
    x_size, w_size, channels, dims, kwargs = VMAPS[name]
    sizes = (x_size, w_size, (channels,))
    tensors = [with_batch(s, d, seed=i) for i, (s, d) in enumerate(zip(sizes, dims, strict=True))]
    for with_bias in (True, False):
        if not with_bias and dims[:2] == (None, None):
            continue
        count = 3 if with_bias else 2
        got, want = (
            vmap(lambda *t, c=c: c(*t, **kwargs), in_dims=dims[:count])(*tensors[:count])
            for c in (functional.conv2d, F.conv2d)
        )
        assert_equal_trees(got, want)


@pytest.mark.parametrize("name", VMAPS)
def test_vmap_of_gradients_of_conv2d(name: str):
    x_size, w_size, channels, dims, kwargs = VMAPS[name]
    sizes = (x_size, w_size, (channels,))
    tensors = [with_batch(s, d, seed=i) for i, (s, d) in enumerate(zip(sizes, dims, strict=True))]

    def gradient(conv):
        loss = lambda *t: conv(*t, **kwargs).square().sum()  # noqa: E731
        return vmap(grad(loss, argnums=(0, 1, 2)), in_dims=dims)(*tensors)

    assert_equal_trees(gradient(functional.conv2d), gradient(F.conv2d))


@pytest.mark.parametrize("name", ["input", "weight", "ensemble", "all", "all_groups"])
def test_gradient_of_vmap_of_conv2d(name: str):
    x_size, w_size, channels, dims, kwargs = VMAPS[name]
    sizes = (x_size, w_size, (channels,))
    tensors = [with_batch(s, d, seed=i) for i, (s, d) in enumerate(zip(sizes, dims, strict=True))]
    results = []
    for conv in (functional.conv2d, F.conv2d):
        leaves = [t.clone().requires_grad_() for t in tensors]
        y = vmap(lambda *t, c=conv: c(*t, **kwargs), in_dims=dims)(*leaves)
        first = torch.autograd.grad(y.square().sum(), leaves, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), leaves)
        results.append((*first, *second))
    assert_equal_trees(*results)


def test_nested_vmap():
    x, w, b = whole(2, 3, 1, 2, 4, 4), whole(3, 2, 2, 2, 2, seed=1), whole(2, 2, seed=2)
    results = []
    for conv in (functional.conv2d, F.conv2d):
        inner = vmap(conv, in_dims=(0, 0, None))
        results.append(vmap(inner, in_dims=(0, None, 0), out_dims=2)(x, w, b))
        gradient = grad(lambda x, w, c=conv: c(x, w).square().sum())
        results.append(vmap(vmap(gradient, (None, 0)), (0, None))(x[:, 0], w))
    assert_equal_trees(results[:2], results[2:])


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("in_dim", [0, 1, -1])
def test_vmap_of_pools(name: str, in_dim: int):
    """And of their gradients. The divisor is a power of two, as the windows' sizes are."""
    pool, size, args = POOLS[name]
    args = {
        "avg_ceil_exclude": (2, 2, 1, True, False),
        "avg_divisor": (2, 1, 0, False, True, -4),
        "adaptive": ((4, 2),),
        "adaptive_larger": (4,),
    }.get(name, args)
    size = (*size[:-2], 4, 4) if "a" == name[0] else size
    x = distinct(3, *size).movedim(0, in_dim)
    results = []
    for package in (functional, F):
        f = getattr(package, pool)
        loss = lambda x, f=f: f(x, *args).square().sum()  # noqa: E731
        results.append(
            [
                vmap(lambda x, f=f: f(x, *args), in_dims=in_dim)(x),
                vmap(grad(loss), in_dims=in_dim)(x),
                vmap(lambda x, loss=loss: jvp(grad(loss), (x,), (x,)), in_dims=in_dim)(x),
            ]
        )
    assert_equal_trees(*results)


def test_vmap_of_max_pool2d_with_indices():
    x = distinct(3, 2, 2, 4, 4)
    results = [
        vmap(lambda x, f=f: f(x, 2, return_indices=True), in_dims=1)(x.movedim(0, 1))
        for f in (functional.max_pool2d, F.max_pool2d)
    ]
    assert_equal_trees(*results)


def test_vmap_over_a_batch_of_one_and_chunks():
    x, w = whole(1, 2, 4, 4), whole(3, 2, 2, 2)
    assert torch.equal(vmap(functional.conv2d, (0, None))(x, w), F.conv2d(x, w))
    x = whole(5, 2, 4, 4)
    chunked = vmap(functional.conv2d, (0, None), chunk_size=2)(x, w)
    assert torch.equal(chunked, F.conv2d(x, w))


def test_per_sample_gradients_of_a_module():
    x = whole(4, 2, 5, 5)
    results = []
    for package in (fastconv, torch.nn):
        model = torch.nn.Sequential(package.Conv2d(2, 4, 2), package.MaxPool2d(2)).double()
        values = {name: whole(*p.shape) for name, p in model.named_parameters()}

        def loss(values, sample, model=model):
            return functional_call(model, values, (sample.unsqueeze(0),)).square().sum()

        results.append(vmap(grad(loss), in_dims=(None, 0))(values, x))
    assert_equal_trees(*results)
    assert results[0]["0.weight"].shape == (4, 4, 2, 2, 2)


def test_ensemble_of_modules():
    x = whole(3, 2, 5, 5)
    models = [fastconv.Conv2d(2, 4, 2, dtype=torch.float64) for _ in range(3)]
    for seed, model in enumerate(models):
        for p in model.parameters():
            p.data = whole(*p.shape, seed=seed)
    values, buffers = stack_module_state(models)
    y = vmap(lambda v, b: functional_call(models[0], (v, b), (x,)))(values, buffers)
    assert_equal_trees(list(y), [model(x) for model in models])


# ---- forward mode -----------------------------------------------------------------------------


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
    assert_equal_trees(*results)
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
    limit = bound(x.numel(), magnitude(8 * x + 1), eps(x.dtype))
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
    assert_equal_trees(*results)


def test_tangent_of_an_unbatched_input_with_bias_alone():
    results = []
    for conv in (functional.conv2d, F.conv2d):
        b = whole(3)
        results.append(jvp(lambda b, c=conv: c(whole(2, 4, 4), whole(3, 2, 2, 2), b), (b,), (b,)))
    assert_equal_trees(*results)


# ---- graphs, checkpoints, hooks ---------------------------------------------------------------


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
    assert_equal_trees(*results)


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
    assert_equal_trees(*results)


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
    assert_equal_trees(torch.autograd.grad(y.sum(), (x, w)), want)


def test_tensor_hooks_and_retained_gradients():
    x, w = whole(1, 2, 4, 4).requires_grad_(), whole(3, 2, 2, 2).requires_grad_()
    y = functional.conv2d(x, w)
    y.retain_grad()
    x.register_hook(lambda g: 2 * g)
    y.sum().backward()
    want = gradients(F.conv2d, torch.ones_like(y), x, w)[1:]
    assert torch.equal(y.grad, torch.ones_like(y))
    assert_equal_trees((x.grad, w.grad), (2 * want[0], want[1]))


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
    from concurrent.futures import ThreadPoolExecutor

    def run(seed: int):
        x, w = whole(2, 3, 9, 9, seed=seed), whole(4, 3, 2, 2, seed=seed)
        grad_y = whole(2, 4, 8, 8, seed=seed)
        return [gradients(c, grad_y, x, w) for c in (functional.conv2d, F.conv2d)]

    with ThreadPoolExecutor(4) as pool:
        for got, want in pool.map(run, range(16)):
            assert_equal_trees(got, want)


# ---- operators: opcheck, tracers, modes, counters ---------------------------------------------

_CONV_ARGS = ([2, 1], [1, 0, 2, 1], [1, 2], 2)
_MAX_ARGS = ([3, 2], [2, 2], [1, 0], [1, 1], True)
_AVG_ARGS = ([3, 2], [2, 2], [1, 0], True, False, None)


def operator_samples() -> dict[str, list[tuple]]:
    x, w = whole(2, 4, 6, 7), whole(6, 2, 3, 2, seed=1)
    last = x.contiguous(memory_format=torch.channels_last)
    grad_y = torch.ones_like(torch.ops.fastconv.conv2d(x, w, None, *_CONV_ARGS))
    y, indices = torch.ops.fastconv.max_pool2d(x, *_MAX_ARGS, True)
    _, last_indices = torch.ops.fastconv.max_pool2d(last, *_MAX_ARGS, True)
    averages = torch.ops.fastconv.avg_pool2d(x, *_AVG_ARGS)
    x_size, w_size = list(x.shape), list(w.shape)
    return {
        "conv2d": [(x, w, whole(6), *_CONV_ARGS), (last, w, None, *_CONV_ARGS)],
        "conv2d_backward_input": [
            (grad_y, w, x_size, *_CONV_ARGS, False),
            (grad_y, w, x_size, *_CONV_ARGS, True),
        ],
        "conv2d_backward_weight": [
            (grad_y, x, w_size, *_CONV_ARGS, False, True),
            (grad_y, last, w_size, *_CONV_ARGS, True, False),
        ],
        "max_pool2d": [(x, *_MAX_ARGS, True), (last, *_MAX_ARGS, False)],
        "max_pool2d_backward": [
            (torch.ones_like(y), indices, x_size, *_MAX_ARGS, False),
            (torch.ones_like(y), last_indices, x_size, *_MAX_ARGS, True),
        ],
        "avg_pool2d": [(x, *_AVG_ARGS), (last, *_AVG_ARGS[:-1], 5)],
        "avg_pool2d_backward": [
            (averages, x_size, *_AVG_ARGS, False),
            (averages, x_size, *_AVG_ARGS, True),
        ],
        "adaptive_avg_pool2d": [(x, [4, 3]), (last, [1, 9])],
        "adaptive_avg_pool2d_backward": [
            (whole(2, 4, 4, 3), x_size, [4, 3], False),
            (whole(2, 4, 1, 9), x_size, [1, 9], True),
        ],
    }


OPERATORS = tuple(operator_samples())


def test_every_operator_has_samples():
    names = {n.split("::")[1] for n in torch._C._dispatch_get_all_op_names() if "fastconv::" in n}
    assert names == set(OPERATORS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", OPERATORS)
def test_opcheck(name: str, dtype: torch.dtype):
    operator = getattr(torch.ops.fastconv, name).default
    for sample in operator_samples()[name]:
        args = [
            a.to(dtype) if isinstance(a, Tensor) and a.is_floating_point() else a for a in sample
        ]
        torch.library.opcheck(operator, args)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_do_not_change_or_return_their_arguments(name: str):
    operator = getattr(torch.ops.fastconv, name)
    for sample in operator_samples()[name]:
        tensors = [a for a in sample if isinstance(a, Tensor)]
        copies = [t.clone() for t in tensors]
        results = torch.utils._pytree.tree_leaves(operator(*sample))
        assert_equal_trees(tensors, copies)
        own = {t.untyped_storage().data_ptr() for t in tensors}
        assert all(r.untyped_storage().data_ptr() not in own for r in results if r.numel())


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_of_fake_and_meta_tensors_have_the_real_strides(name: str):
    operator = getattr(torch.ops.fastconv, name)
    for sample in operator_samples()[name]:
        real = torch.utils._pytree.tree_leaves(operator(*sample))
        with FakeTensorMode() as mode:
            fake = operator(*(mode.from_tensor(a) if isinstance(a, Tensor) else a for a in sample))
        meta = operator(*(a.to("meta") if isinstance(a, Tensor) else a for a in sample))
        for results in (fake, meta):
            for r, f in zip(real, torch.utils._pytree.tree_leaves(results), strict=True):
                assert (r.shape, r.stride(), r.dtype) == (f.shape, f.stride(), f.dtype)


def test_fake_tensors_through_the_functions():
    with FakeTensorMode():
        x, w = torch.empty(2, 3, 8, 8, requires_grad=True), torch.empty(4, 3, 3, 3)
        y = functional.max_pool2d(functional.conv2d(x, w, stride=2, padding="valid"), 2)
        y = functional.adaptive_avg_pool2d(functional.avg_pool2d(y, 1), 2)
        assert y.shape == (2, 4, 2, 2)
        y.sum().backward()
        assert x.grad.shape == x.shape


ALL_SEEN = [
    "conv2d", "max_pool2d", "conv2d", "avg_pool2d", "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward", "avg_pool2d_backward",
    "conv2d_backward_input", "conv2d_backward_weight",
    "max_pool2d_backward", "conv2d_backward_input", "conv2d_backward_weight",
]  # fmt: skip


def test_dispatch_mode_sees_the_operators():
    leaves = [t.requires_grad_() for t in network_tensors()]
    with Operators() as seen:
        network(functional)(*leaves).backward()
    assert seen.names == ALL_SEEN


def test_profiler_sees_the_operators():
    leaves = [t.requires_grad_() for t in network_tensors()]
    with torch.profiler.profile() as profile:
        network(functional)(*leaves).backward()
    counts = {e.key: e.count for e in profile.key_averages() if e.key.startswith("fastconv::")}
    assert counts == {f"fastconv::{name}": ALL_SEEN.count(name) for name in ALL_SEEN}


def test_function_mode_and_subclasses_see_the_functions():
    seen = []

    class Mode(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            seen.append(function)
            return function(*args, **(kwargs or {}))

    x, w = whole(1, 1, 4, 4), whole(1, 1, 2, 2)
    calls = {
        functional.conv2d: (w,),
        functional.max_pool2d: (2,),
        functional.avg_pool2d: (2,),
        functional.adaptive_avg_pool2d: (2,),
    }
    for function, args in calls.items():
        with Mode():
            function(x, *args)
        assert function in seen

    class Sub(Tensor):
        pass

    for function, args in calls.items():
        assert type(function(x.as_subclass(Sub), *args)) is Sub
    assert type(functional.conv2d(x, w.as_subclass(Sub))) is Sub
    assert torch.equal(functional.conv2d(x, w.as_subclass(Sub)).as_subclass(Tensor), F.conv2d(x, w))


@pytest.mark.parametrize("name", CONVS)
def test_flops_are_torchs(name: str):
    counted = []
    for package in (functional, F):
        x, w, b = conv_inputs(name)
        kwargs = CONVS[name][2]
        if kwargs.get("groups", 1) > 1:
            w = w.detach()  # torch counts the weight's gradient of groups by another convention
        with FlopCounterMode(display=False) as forward:
            y = package.conv2d(x, w, b, **kwargs)
        with FlopCounterMode(display=False) as backward:
            y.sum().backward()
        counted.append((forward.get_total_flops(), backward.get_total_flops()))
    assert counted[0] == counted[1] and min(counted[0]) > 0


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_jit_trace():
    x, w, b = network_tensors()
    traced = torch.jit.trace(network(functional), (x, w, b))
    assert "fastconv::adaptive_avg_pool2d" in str(traced.graph)
    assert {"fastconv::conv2d", "fastconv::max_pool2d", "fastconv::avg_pool2d"} <= {
        n.kind() for n in traced.graph.nodes()
    }
    assert torch.equal(traced(x + 1, w - 1, b), network(F)(x + 1, w - 1, b))


@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_make_fx(mode: str):
    x, w, b = network_tensors()
    traced = make_fx(network(functional), tracing_mode=mode)(x, w, b)
    called = [str(n.target) for n in traced.graph.nodes if "fastconv" in str(n.target)]
    assert [c.split(".")[1] for c in called] == ALL_SEEN[:5]
    assert torch.equal(traced(x + 1, w - 1, b), network(F)(x + 1, w - 1, b))


def test_make_fx_of_a_gradient():
    x, w, b = network_tensors()
    traced = make_fx(grad(network(functional), argnums=(0, 1, 2)))(x, w, b)
    want = grad(network(F), argnums=(0, 1, 2))(x, w, b)
    assert_equal_trees(traced(x, w, b), want)
    called = [
        str(n.target).split(".")[1] for n in traced.graph.nodes if "fastconv" in str(n.target)
    ]
    assert sorted(called) == sorted(ALL_SEEN)
