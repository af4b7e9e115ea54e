"""The functions that make calls of conv2d and of pools of images: transposed and 3-D convolution,
pools of rows and volumes, power averages. Values, strides and gradients are torch's.

Whole numbers in float64, as in test_modules.py: sums of products are exact, and so are averages
over windows of a power of two.
"""

import copy

import pytest
import torch
from reference import assert_within, dot_bound
from tensors import distinct, randn, whole, with_nans, with_ties
from torch import Tensor, nn

import fastconv
from fastconv import functional

F = nn.functional

# name: function, sizes of the tensors, arguments behind them
CONVOLUTIONS = {
    "t2d": ("conv_transpose2d", (2, 4, 5, 6), (4, 3, 3, 2), {}),
    "t2d_strided": ("conv_transpose2d", (2, 4, 5, 6), (4, 3, 2, 2), {"stride": 2}),
    "t2d_all": ("conv_transpose2d", (2, 4, 5, 6), (4, 3, 3, 2),
                {"stride": (2, 3), "padding": (1, 2), "output_padding": (1, 2), "groups": 2,
                 "dilation": (2, 3)}),
    "t2d_more_than_stride": ("conv_transpose2d", (1, 2, 4, 5), (2, 3, 3, 3),
                             {"stride": (1, 2), "padding": 3, "output_padding": (2, 3),
                              "dilation": (3, 4)}),
    "t2d_depthwise": ("conv_transpose2d", (2, 4, 5, 6), (4, 1, 4, 4),
                      {"stride": 2, "padding": 1, "groups": 4}),
    "t2d_unbatched": ("conv_transpose2d", (4, 5, 6), (4, 3, 3, 3), {"padding": 1}),
    "t2d_no_batch": ("conv_transpose2d", (0, 4, 5, 6), (4, 3, 3, 3), {}),
    "t1d": ("conv_transpose1d", (2, 4, 9), (4, 3, 3), {}),
    "t1d_all": ("conv_transpose1d", (2, 4, 9), (4, 3, 5),
                {"stride": (3,), "padding": [2], "output_padding": 2, "groups": 2, "dilation": 2}),
    "t1d_unbatched": ("conv_transpose1d", (4, 9), (4, 3, 3), {"stride": 2}),
    "c3d": ("conv3d", (2, 4, 5, 6, 7), (6, 4, 3, 2, 3), {}),
    "c3d_all": ("conv3d", (2, 4, 9, 8, 7), (6, 2, 3, 2, 3),
                {"stride": (2, 1, 3), "padding": (1, 2, 0), "dilation": (3, 2, 1), "groups": 2}),
    "c3d_same": ("conv3d", (1, 2, 5, 6, 7), (3, 2, 2, 3, 4), {"padding": "same", "dilation": 3}),
    "c3d_valid": ("conv3d", (1, 2, 5, 6, 7), (3, 2, 2, 3, 4), {"padding": "valid"}),
    "c3d_1": ("conv3d", (2, 4, 5, 6, 7), (6, 4, 1, 1, 1), {}),
    "c3d_depthwise": ("conv3d", (2, 4, 5, 6, 7), (8, 1, 3, 3, 3), {"groups": 4, "padding": 1}),
    "c3d_unbatched": ("conv3d", (2, 5, 6, 7), (3, 2, 3, 3, 3), {"stride": 2}),
    "c3d_no_batch": ("conv3d", (0, 2, 5, 6, 7), (3, 2, 3, 3, 3), {}),
}  # fmt: skip
POOLS = {
    "max1d": ("max_pool1d", (2, 3, 13), (3, 2, 1), {}),
    "max1d_ceil": ("max_pool1d", (3, 14), (3, (2,)), {"dilation": 2, "ceil_mode": True}),
    "max1d_default": ("max_pool1d", (2, 3, 13), (4,), {}),
    "avg1d": ("avg_pool1d", (2, 3, 13), (4, 2, 1), {}),
    "avg1d_exclude": ("avg_pool1d", (3, 13), (2, (2,), 1), {"count_include_pad": False}),
    "avg1d_default": ("avg_pool1d", (2, 3, 13), (4,), {"ceil_mode": True}),
    "adaptive1d": ("adaptive_avg_pool1d", (2, 3, 16), (4,), {}),
    "adaptive1d_tuple": ("adaptive_avg_pool1d", (3, 16), ((8,),), {}),
    "adaptive_max1d": ("adaptive_max_pool1d", (2, 3, 12), (4,), {}),
    "adaptive_max1d_1": ("adaptive_max_pool1d", (3, 13), ((1,),), {}),
    "max3d": ("max_pool3d", (2, 3, 7, 8, 9), (3, 2, 1), {}),
    "max3d_ceil": ("max_pool3d", (3, 7, 8, 9), ((2, 3, 2), (2, 1, 3)),
                   {"padding": (1, 1, 0), "dilation": (2, 1, 2), "ceil_mode": True}),
    "max3d_default": ("max_pool3d", (2, 3, 7, 8, 9), ((1, 2, 3),), {}),
    "avg3d": ("avg_pool3d", (2, 3, 7, 8, 9), (2, 2, 1), {}),
    "avg3d_ceil": ("avg_pool3d", (3, 7, 8, 9), ((2, 4, 1), (3, 2, 1)), {"padding": (1, 2, 0)}),
    "avg3d_exclude": ("avg_pool3d", (2, 3, 7, 8, 8), (2, 2, 1), {"count_include_pad": False}),
    "avg3d_divisor": ("avg_pool3d", (2, 3, 7, 8, 9), (3,), {"divisor_override": -4}),
    "adaptive3d": ("adaptive_avg_pool3d", (2, 3, 8, 8, 8), ((4, 2, None),), {}),
    "adaptive3d_1": ("adaptive_avg_pool3d", (3, 4, 4, 8), (1,), {}),
}  # fmt: skip
INFINITE = float("inf")
# torch 2.4 gives 1
HAS_INFINITE_POWERS = F.lp_pool1d(torch.full((1, 1, 2), 2.0), INFINITE, 2).item() == 2
LP = {
    "lp1d": ("lp_pool1d", (2, 3, 13), (2, 3), {"stride": 2}),
    "lp1d_inf": ("lp_pool1d", (2, 3, 13), (float("inf"), 3), {}),
    "lp2d": ("lp_pool2d", (2, 3, 9, 10), (3.0, (2, 3)), {"ceil_mode": True}),
    "lp2d_minus_inf": ("lp_pool2d", (3, 9, 10), (-float("inf"), 2), {"stride": (1, 2)}),
    "lp3d": ("lp_pool3d", (2, 3, 5, 6, 7), (2, (2, 3, 2)), {}),
}


def gradients(function, *tensors: Tensor, **kwargs) -> list[Tensor]:
    leaves = [t.clone(memory_format=torch.preserve_format).requires_grad_() for t in tensors]
    y = function(*leaves, **kwargs)
    return [y.detach(), *torch.autograd.grad(y.square().sum(), leaves)]


def weighted(name: str) -> tuple:
    function, x_size, w_size, kwargs = CONVOLUTIONS[name]
    channels = w_size[1] * kwargs.get("groups", 1) if "transpose" in function else w_size[0]
    return function, (whole(*x_size), whole(*w_size), whole(channels)), kwargs


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str, no_handovers):
    function, tensors, kwargs = weighted(name)
    ours, torchs = getattr(functional, function), getattr(F, function)
    for given in (tensors, tensors[:2]):
        for got, want in zip(gradients(ours, *given, **kwargs), gradients(torchs, *given, **kwargs),
                             strict=True):  # fmt: skip
            assert torch.equal(got, want)
        y = ours(*given, **kwargs)
        assert y.numel() == 0 or y.stride() == torchs(*given, **kwargs).stride()
    assert fastconv.fallbacks() == {}


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("make", [with_ties, with_nans, distinct], ids=lambda f: f.__name__)
def test_pools(name: str, make, no_handovers):
    function, size, args, kwargs = POOLS[name]
    x = make(*size)
    ours, torchs = getattr(functional, function), getattr(F, function)
    got, want = ours(x, *args, **kwargs), torchs(x, *args, **kwargs)
    torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)
    assert got.stride() == want.stride()
    if make is not with_nans:
        for a, b in zip(*(gradients(lambda t, f=f: f(t, *args, **kwargs), x)
                          for f in (ours, torchs)), strict=True):  # fmt: skip
            torch.testing.assert_close(a, b, rtol=0, atol=0)
    if "max" in function:
        for a, b in zip(ours(x, *args, return_indices=True, **kwargs),
                        torchs(x, *args, return_indices=True, **kwargs), strict=True):  # fmt: skip
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
            assert a.stride() == b.stride()
    assert fastconv.fallbacks() == {}


@pytest.mark.parametrize("name", LP)
def test_power_averages(name: str, no_handovers):
    function, size, args, kwargs = LP[name]
    if not hasattr(F, function):
        pytest.skip("this torch is older than the function")
    x = randn(*size).abs() + 1
    if args[0] in (INFINITE, -INFINITE) and not HAS_INFINITE_POWERS:
        pytest.skip("this torch computes no maximum for an infinite power")
    got, want = (
        gradients(lambda t, f=f: f(t, *args, **kwargs), x)
        for f in (getattr(functional, function), getattr(F, function))
    )
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)
    assert fastconv.fallbacks() == {}


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_types(name: str, dtype: torch.dtype):
    function, tensors, kwargs = weighted(name)
    short = [randn(*t.shape, seed=i).to(dtype) for i, t in enumerate(tensors)]
    exact = getattr(F, function)(*(t.double() for t in short), **kwargs)
    sizes = getattr(F, function)(*(t.double().abs() for t in short), **kwargs)
    y = getattr(functional, function)(*short, **kwargs)
    assert y.dtype is dtype
    size, terms = sizes.max().item() if sizes.numel() else 0.0, tensors[1].numel()
    limit = 4 * dot_bound(terms, size, torch.float32)  # by Winograd, too; as in conv2d_bounds
    assert_within(y, exact, limit + 2 * torch.finfo(dtype).eps * size)  # and the bias, rounded


def test_second_derivatives_forward_mode_and_vmap():
    for name in ("t2d_all", "t1d_all", "c3d_all"):
        function, (x, w, b), kwargs = weighted(name)
        ours, torchs = getattr(functional, function), getattr(F, function)
        leaves = [t[:1, ..., :6].clone() if t is x else t for t in (x, w, b)]
        leaves = [t.requires_grad_() for t in leaves]

        def call(*t, ours=ours, kwargs=kwargs):
            return ours(*t, **kwargs)

        assert torch.autograd.gradgradcheck(call, leaves, fast_mode=True)
        tensors = [t.detach() for t in leaves]
        tangents = tuple(torch.ones_like(t) for t in tensors)
        for a, b in zip(
            torch.func.jvp(call, tuple(tensors), tangents),
            torch.func.jvp(lambda *t: torchs(*t, **kwargs), tuple(tensors), tangents),  # noqa: B023
            strict=True,
        ):
            assert torch.equal(a, b)
        stacked = [torch.stack([t, 2 * t]) for t in tensors]
        got = torch.func.vmap(call)(*stacked)
        want = torch.stack([torchs(*(t[i] for t in stacked), **kwargs) for i in (0, 1)])
        assert torch.equal(got, want)


@pytest.mark.parametrize("transposed", [True, False])
@fastconv.flags(winograd=False)  # its transforms round; plain sums of small integers are exact
def test_channels_last(transposed: bool):
    for weight_too in (False, True):
        if transposed:
            x, w, kind = whole(2, 4, 5, 6), whole(4, 3, 3, 3), torch.channels_last
            names, kwargs = ("conv_transpose2d",), {"stride": 2, "padding": 1}
        else:
            x, w, kind = whole(2, 4, 5, 6, 7), whole(3, 4, 3, 3, 3), torch.channels_last_3d
            names, kwargs = ("conv3d",), {"padding": 1}
        x = x.contiguous(memory_format=kind)
        w = w.contiguous(memory_format=kind) if weight_too else w
        x, w = x.float(), w.float()
        for name in names:
            got, want = getattr(functional, name)(x, w, **kwargs), getattr(F, name)(x, w, **kwargs)
            assert torch.equal(got, want) and got.stride() == want.stride()
    if not transposed:
        for name, args in (("max_pool3d", (2,)), ("avg_pool3d", (2,)),
                           ("adaptive_avg_pool3d", (2,))):  # fmt: skip
            got, want = getattr(functional, name)(x, *args), getattr(F, name)(x, *args)
            torch.testing.assert_close(got, want)
            assert got.stride() == want.stride(), name


def test_what_is_not_covered_is_torchs_and_counted(no_handovers):
    x3, w3 = randn(1, 2, 3, 4, 5), randn(2, 3, 2, 2, 2)
    assert torch.equal(functional.conv_transpose3d(x3, w3), F.conv_transpose3d(x3, w3))
    functional.adaptive_max_pool3d(x3, 2)
    functional.adaptive_max_pool1d(x3[0, 0], 3)
    assert fastconv.fallbacks() == {
        ("conv_transpose3d", "not covered"): 1,
        ("adaptive_max_pool3d", "not covered"): 1,
        ("adaptive_max_pool1d", "arguments"): 1,
    }


@pytest.mark.parametrize("name", ["t2d_all", "t1d_all", "c3d_all"])
def test_graphs(name: str, fresh_compiler, no_handovers):
    if name == "c3d_all" and torch.__version__ < "2.5":
        pytest.skip("its compiler takes no symbol for the step of a slice")
    function, tensors, kwargs = weighted(name)
    ours = getattr(functional, function)

    class Call(nn.Module):
        def forward(self, *t):
            return ours(*t, **kwargs)

    want = ours(*tensors, **kwargs)
    compiled = torch.compile(Call(), backend="aot_eager", fullgraph=True, dynamic=True)
    assert torch.equal(compiled(*tensors), want)
    assert torch.equal(compiled(torch.cat([tensors[0]] * 2), *tensors[1:])[: len(want)], want)
    leaves = [t.clone().requires_grad_() for t in tensors]
    compiled(*leaves).square().sum().backward()
    for leaf, expected in zip(leaves, gradients(ours, *tensors, **kwargs)[1:], strict=True):
        assert torch.equal(leaf.grad, expected)
    exported = torch.export.export(Call(), tensors)
    assert torch.equal(exported.module()(*tensors), want)
    decomposed = exported.run_decompositions()
    assert torch.equal(copy.deepcopy(decomposed).module()(*tensors), want)
    assert fastconv.fallbacks() == {}
    traced = torch.jit.trace(Call(), tensors, check_trace=False)
    assert torch.equal(traced(torch.cat([tensors[0]] * 2), *tensors[1:])[: len(want)], want)
    assert set(fastconv.fallbacks()) == {(function, "tracing")}


@pytest.mark.parametrize("name", ["t2d", "t1d", "c3d"])
def test_autocast(name: str):
    function, tensors, kwargs = weighted(name)
    tensors = [t.float() for t in tensors]
    with torch.autocast("cpu", torch.bfloat16):
        got = getattr(functional, function)(*tensors, **kwargs)
        want = getattr(F, function)(*tensors, **kwargs)
    assert got.dtype is want.dtype is torch.bfloat16
    torch.testing.assert_close(got, want, rtol=2**-7, atol=1)
