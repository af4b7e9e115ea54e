"""max_unpool1d, 2d and 3d against torch: the same bits, errors and derivatives."""

import pytest
import torch
import torch.nn.functional as F

import fastconv
from fastconv import functional
from fastconv.core import cpu

# name: dims, size of the pooled tensor, window, stride, padding, output_size
CASES = {
    "rows": (1, (2, 3, 13), 3, 2, 1, None),
    "rows, unbatched": (1, (3, 9), (2,), None, 0, (9,)),
    "images": (2, (2, 5, 8, 6), 2, None, 0, None),
    "images, pixels left over": (2, (2, 33, 7, 9), (2, 3), None, 0, (2, 33, 7, 9)),
    "images, windows overlap": (2, (1, 70, 9, 8), 3, 2, 1, (9, 8)),
    "images, unbatched": (2, (3, 6, 6), 3, 1, 0, None),
    "no images": (2, (0, 3, 4, 4), 2, None, 0, None),
    "long planes": (2, (1, 1, 150, 130), 2, None, 0, None),
    "volumes": (3, (2, 3, 5, 4, 6), (3, 2, 2), 2, (1, 0, 0), (5, 4, 6)),
    "volumes, unbatched": (3, (3, 4, 4, 4), 2, None, 0, None),
}
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
BOTH = (functional, F)
FUNCTIONS = {1: "max_unpool1d", 2: "max_unpool2d", 3: "max_unpool3d"}
LAYERS = {"MaxUnpool1d": (2, 3, 8), "MaxUnpool2d": (2, 3, 8, 6), "MaxUnpool3d": (1, 2, 4, 4, 6)}


def pooled(name: str, dtype: torch.dtype = torch.float32) -> tuple[int, tuple]:
    """(dims, arguments of max_unpool)"""
    dims, size, kernel, stride, padding, output = CASES[name]
    x = torch.randn(size).to(dtype)
    pool = getattr(F, f"max_pool{dims}d")
    y, indices = pool(x.float(), kernel, stride, padding, return_indices=True)
    return dims, (y.to(dtype), indices, kernel, stride, padding, output)


@pytest.mark.parametrize("channels_last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_like_torch(name, dtype, channels_last, no_handovers):
    dims, (y, indices, *rest) = pooled(name, dtype)
    if channels_last and y.dim() == 4:
        y = y.contiguous(memory_format=torch.channels_last)
    results = []
    for package in BOTH:
        # Elements are moved, and torch 2.4 has no kernel for those of 16 bits.
        given = y.float() if package is F and y.element_size() == 2 else y
        leaf = given.clone(memory_format=torch.preserve_format).requires_grad_()
        x = getattr(package, FUNCTIONS[dims])(leaf, indices, *rest)
        weights = torch.arange(x.numel()).view(x.shape).remainder(97).to(x.dtype)
        (gradient,) = torch.autograd.grad(x, leaf, weights)
        results.append((x.detach().to(dtype), gradient.to(dtype)))
    for got, want in zip(*results, strict=True):
        assert torch.equal(got, want)
    assert results[0][0].stride() == results[1][0].stride()
    with torch.no_grad():
        assert torch.equal(getattr(functional, FUNCTIONS[dims])(y, indices, *rest), x.to(dtype))
    assert not fastconv.fallbacks()


@pytest.mark.parametrize("channels_last", [False, True], ids=["nchw", "nhwc"])
def test_of_equal_indices_the_last_counts_for_any_number_of_threads(channels_last):
    x = torch.randn(1, 67, 16, 16)
    indices = torch.randint(0, 200, x.shape)
    indices[0, 0] = 1599  # the last place is filled first
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    want = torch.zeros(67, 40 * 40)
    for channel, plane in enumerate(x[0].flatten(1)):
        for value, at in zip(plane.tolist(), indices[0, channel].flatten().tolist(), strict=True):
            want[channel, at] = value
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            y = torch.ops.fastconv.max_unpool(x, indices, [40, 40])
            assert torch.equal(y.contiguous().view(67, -1), want)
    finally:
        torch.set_num_threads(before)


HOSTILE = [-1, 16, -(2**63), 2**63 - 1, 2**61, -(2**61) + 3, 10**12]


@pytest.mark.parametrize("channels_last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("bad", HOSTILE)
def test_hostile_indices_touch_nothing_outside(bad, channels_last):
    """Raw kernels, between guards: neither direction writes or reads beyond its tensors."""
    for threads in (1, 3):
        x = torch.ones(2, 3, 2, 2)
        indices = torch.arange(4).view(2, 2).expand(2, 3, 2, 2).clone()
        indices[1, 1, 0, 1] = indices[0, 2, 1, 1] = bad
        strides = torch.channels_last if channels_last else torch.contiguous_format
        x, indices = (t.contiguous(memory_format=strides) for t in (x, indices))
        shape = cpu.unpool_shape(x.shape, (4, 4), channels_last)
        memory = torch.full((3 * 96,), 7.0)
        y = memory[96:192]
        with pytest.raises(RuntimeError, match=rf"index: {bad} \(output volumes are of size 4x4\)"):
            cpu._C.max_unpool_forward(
                0, shape, (x.data_ptr(), x.numel()), (indices.data_ptr(), x.numel()),
                (y.data_ptr(), 96), threads,
            )  # fmt: skip
        assert (memory[:96] == 7).all() and (memory[192:] == 7).all()
        assert y.sum() == 24 - 2  # all others are at their places, and zeros elsewhere
        with pytest.raises(RuntimeError, match=rf"index: {bad} "):
            torch.ops.fastconv.max_unpool_backward(y.view(2, 3, 4, 4), indices, channels_last)


def call(package: object, dims: int, *args: object) -> object:
    try:
        return getattr(package, FUNCTIONS[dims])(*args)
    except Exception as error:
        return type(error), str(error).split("\n")[0].rstrip(")")  # torch 2.4 forgets the last one


def test_errors_are_torchs():
    images, rows = (torch.randn(2, 3, 2, 2) for _ in range(2))
    at, volumes = torch.arange(4).view(2, 2).expand(2, 3, 2, 2), torch.randn(1, 1, 2, 2, 2)
    cube, rows = torch.arange(8).view(1, 1, 2, 2, 2), rows[0]
    calls = [
        *((2, images, torch.where(at == 2, bad, at), 2) for bad in (-3, 77, 2**62)),
        (1, rows, torch.full_like(rows, 9, dtype=torch.int64), 2),
        (3, volumes, torch.where(cube == 2, 99, cube), 2),  # of several torch names any
        (2, images, at.int(), 2),
        (3, volumes, cube.int(), 2),
        (2, images, at[:1], 2),
        (2, images.int(), at, 2),
        (2, images, at, 2, None, 0, (7, 5)),
        (2, images, at, 2, None, 0, (4,)),
        (2, images, at, 2, None, 0, 4),
        (2, images, at, 2, 2, 3),
        (2, images, at, 2.0),
        (2, images, at, (2, 2, 2)),
        (2, images, None, 2),
        (2, None, at, 2),
        (2, images[:, :0], at[:, :0], 2),
        (2, images[0, 0], at[0, 0], 2),
        (3, volumes, cube, 2, (1, 2, 0)),
        (1, images, at, 2),
    ]
    for dims, *args in calls:
        got, want = (call(package, dims, *args) for package in BOTH)
        assert isinstance(want, tuple) and got == want, args


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_derivatives_of_any_order_and_transforms(dims):
    size = (2, 3) + (4,) * dims
    x = torch.randn(2, 2, *(2,) * dims, dtype=torch.float64, requires_grad=True)
    indices = torch.stack([torch.randperm(4**dims)[: 2**dims] for _ in range(4)]).view(x.shape)

    def ours(t):
        return getattr(functional, FUNCTIONS[dims])(t, indices, 2)

    def torchs(t):
        return getattr(F, FUNCTIONS[dims])(t, indices, 2)

    assert torch.autograd.gradcheck(ours, x, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(ours, x, check_fwd_over_rev=True)
    plain, tangent = x.detach(), torch.randn_like(x)
    for got, want in zip(*(torch.func.jvp(f, (plain,), (tangent,)) for f in (ours, torchs)),
                         strict=True):  # fmt: skip
        assert torch.equal(got, want)
    stacked = torch.stack([plain, 2 * plain, -plain])
    assert torch.equal(torch.func.vmap(ours)(stacked), torch.stack([torchs(t) for t in stacked]))
    hessian = torch.func.hessian(lambda t: (ours(t) ** 2).sum())(plain)
    assert torch.equal(hessian.view(x.numel(), -1), 2 * torch.eye(x.numel(), dtype=x.dtype))
    many = torch.stack([indices, indices.flip(0)])
    got = torch.func.vmap(lambda i: functional.max_unpool2d(plain, i, 2))(many) if dims == 2 else 0
    if dims == 2:
        assert torch.equal(got[1], F.max_unpool2d(plain, indices.flip(0), 2))
    # Of equal indices each gets the gradient, and the second derivative adds them.
    equal = torch.zeros_like(indices)
    results = []
    for package in BOTH:
        y = getattr(package, FUNCTIONS[dims])(x, equal, 2)
        (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        results += [first.detach(), *torch.autograd.grad(first.square().sum(), x)]
    for got, want in zip(results[:2], results[2:], strict=True):
        assert torch.equal(got, want)
    assert y.shape == (2, 2, *size[2:])


@pytest.mark.parametrize("dims", [2, 3])
def test_operators(dims):
    x = torch.randn(2, 3, *(2,) * dims, requires_grad=True)
    indices = torch.randint(0, 4**dims, x.shape)
    operators, size = torch.ops.fastconv, [4] * dims
    want = F.max_unpool2d(x, indices, 2) if dims == 2 else F.max_unpool3d(x, indices, 2)
    plain = x.detach()
    assert torch.equal(operators.max_unpool(x, indices, size), want)
    assert torch.equal(cpu.max_unpool(plain, indices, tuple(size)), want)
    for wrong in ((plain, indices.int(), size), (plain, indices[:1], size),
                  (plain, indices, [4]), (plain.int(), indices, size)):  # fmt: skip
        with pytest.raises((RuntimeError, ValueError, NotImplementedError)):
            operators.max_unpool(*wrong)


def test_layers(no_handovers):
    for name, size in LAYERS.items():
        torchs, x = getattr(torch.nn, name)(2), torch.randn(size)
        y, indices = getattr(F, f"max_pool{len(size) - 2}d")(x, 2, return_indices=True)
        want = torchs(y, indices)
        layer = fastconv.convert(getattr(torch.nn, name)(2))
        assert type(layer) is getattr(fastconv, name)
        assert fastconv.report(layer).counts == {"fastconv": 1, "torch": 0}
        assert torch.equal(layer(y, indices), want)
        more = [extent + 1 for extent in size[2:]]
        assert torch.equal(layer(y, indices, output_size=more), torchs(y, indices, more))
        with fastconv.enabled():
            assert torch.equal(torchs(y, indices), want)
        rows = fastconv.explain(layer, y, indices, measure=name == "MaxUnpool3d").rows
        assert [(r.operator, r.path) for r in rows] == [("max_unpool", "pool")] * 2
        assert type(fastconv.revert(layer)) is type(torchs)
    assert not fastconv.fallbacks()


def test_routes_of_aten(no_handovers):
    y, indices = F.max_pool2d(torch.randn(1, 2, 6, 6), 2, return_indices=True)
    y3, indices3 = F.max_pool3d(torch.randn(1, 2, 4, 6, 6), 2, return_indices=True)
    aten = torch.ops.aten
    calls = [
        (aten.max_unpool2d, y, indices, [6, 6]),
        (aten.max_unpool2d.default, y[0], indices[0], [7, 9]),
        (aten.max_unpool3d, y3, indices3, [4, 6, 6], [2, 2, 2], [0, 0, 0]),
    ]
    with torch.profiler.profile() as seen, fastconv.enabled():
        got = [function(*args) for function, *args in calls]
    assert sum(e.count for e in seen.key_averages() if e.key == "fastconv::max_unpool") == 3
    for (function, *args), result in zip(calls, got, strict=True):
        assert torch.equal(result, function(*args))
    assert not fastconv.fallbacks()
    with fastconv.enabled(), pytest.raises(RuntimeError, match="exactly two elements"):
        aten.max_unpool2d(y, indices, [6])


class Autoencoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.pool, self.unpool = fastconv.MaxPool2d(2, return_indices=True), fastconv.MaxUnpool2d(2)

    def forward(self, x):
        return self.unpool(*self.pool(x)) * x


def test_graphs(fresh_compiler, no_handovers):
    net, x = Autoencoder(), torch.randn(2, 3, 8, 6)
    want = net(x)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True, dynamic=True)
    leaf = x.clone().requires_grad_()
    compiled(leaf).sum().backward()
    other = x.clone().requires_grad_()
    net(other).sum().backward()
    assert torch.equal(leaf.grad, other.grad) and torch.equal(compiled(x), want)
    more = torch.randn(3, 3, 12, 10)
    assert torch.equal(compiled(more), net(more))
    exported = torch.export.export(net, (x,))
    assert "fastconv.max_unpool.default" in exported.graph_module.code
    assert torch.equal(exported.module()(x), want)
    decomposed = exported.run_decompositions({
        torch.ops.fastconv.max_unpool.default: torch._decomp.decomposition_table[
            torch.ops.fastconv.max_unpool.default]})  # fmt: skip
    assert "fastconv.max_unpool" not in decomposed.graph_module.code
    assert torch.equal(decomposed.module()(x), want)
    with torch.autocast("cpu", torch.bfloat16):
        assert net(x).dtype is torch.float32
    assert not fastconv.fallbacks()
