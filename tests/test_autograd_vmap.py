"""vmap over fastconv.functional and its derivatives, in any order; results equal torch's."""

import pytest
import torch
from derivatives import POOLS
from reference import assert_all_equal
from tensors import distinct, whole
from torch import Tensor
from torch.func import functional_call, grad, jvp, stack_module_state, vmap

import fastconv
from fastconv import functional

F = torch.nn.functional

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
        assert_all_equal(got, want)


@pytest.mark.parametrize("name", VMAPS)
def test_vmap_of_gradients_of_conv2d(name: str):
    x_size, w_size, channels, dims, kwargs = VMAPS[name]
    sizes = (x_size, w_size, (channels,))
    tensors = [with_batch(s, d, seed=i) for i, (s, d) in enumerate(zip(sizes, dims, strict=True))]

    def gradient(conv):
        loss = lambda *t: conv(*t, **kwargs).square().sum()  # noqa: E731
        return vmap(grad(loss, argnums=(0, 1, 2)), in_dims=dims)(*tensors)

    assert_all_equal(gradient(functional.conv2d), gradient(F.conv2d))


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
    assert_all_equal(*results)


def test_nested_vmap():
    x, w, b = whole(2, 3, 1, 2, 4, 4), whole(3, 2, 2, 2, 2, seed=1), whole(2, 2, seed=2)
    results = []
    for conv in (functional.conv2d, F.conv2d):
        inner = vmap(conv, in_dims=(0, 0, None))
        results.append(vmap(inner, in_dims=(0, None, 0), out_dims=2)(x, w, b))
        gradient = grad(lambda x, w, c=conv: c(x, w).square().sum())
        results.append(vmap(vmap(gradient, (None, 0)), (0, None))(x[:, 0], w))
    assert_all_equal(results[:2], results[2:])


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
    assert_all_equal(*results)


def test_vmap_of_max_pool2d_with_indices():
    x = distinct(3, 2, 2, 4, 4)
    results = [
        vmap(lambda x, f=f: f(x, 2, return_indices=True), in_dims=1)(x.movedim(0, 1))
        for f in (functional.max_pool2d, F.max_pool2d)
    ]
    assert_all_equal(*results)


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
    assert_all_equal(*results)
    assert results[0]["0.weight"].shape == (4, 4, 2, 2, 2)


def test_ensemble_of_modules():
    x = whole(3, 2, 5, 5)
    models = [fastconv.Conv2d(2, 4, 2, dtype=torch.float64) for _ in range(3)]
    for seed, model in enumerate(models):
        for p in model.parameters():
            p.data = whole(*p.shape, seed=seed)
    values, buffers = stack_module_state(models)
    y = vmap(lambda v, b: functional_call(models[0], (v, b), (x,)))(values, buffers)
    assert_all_equal(list(y), [model(x) for model in models])


def test_vmap_of_indices():
    """In a batch of inputs, of tangents, or both; never wrong by the batch."""
    x, t = distinct(3, 2, 2, 5, 6), whole(3, 2, 2, 5, 6)
    results = []
    for pool in (functional.max_pool2d, F.max_pool2d):
        call = lambda x, p=pool: p(x, 3, 2, 1, ceil_mode=True, return_indices=True)  # noqa: E731
        tangent = lambda x, t, c=call: jvp(lambda x: c(x)[0], (x,), (t,))  # noqa: E731
        weighted = lambda x, c=call: (c(x)[0] * c(x)[1]).sum()  # noqa: E731
        results.append((
            *vmap(call)(x), *vmap(call, in_dims=2)(x), *vmap(tangent)(x, t),
            *vmap(tangent, in_dims=(None, 0))(x[0], t), vmap(grad(weighted))(x),
        ))  # fmt: skip
    assert_all_equal(*results)
