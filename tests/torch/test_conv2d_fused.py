"""The operator conv2d_fused, clamp(conv2d + addend): by fastconv._torch and by Python."""

import pytest
import torch
from reference import assert_all_equal
from tensors import FORMATS, VIEWS, randn, views, whole
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import fastconv
from fastconv.core import cpu, decompositions, ops

_ARGS = ((2, 1), (1, 0, 2, 1), (1, 2), 2)
by_name = torch.ops.fastconv.conv2d_fused
WAYS = {"by name": by_name, "plain call": ops.conv2d_fused, "Python": cpu.conv2d_fused}


def tensors(dtype=torch.float64) -> tuple[Tensor, ...]:
    x, w = whole(2, 4, 6, 7), whole(6, 2, 3, 2, seed=1)
    y = ops.conv2d(x, w, None, *_ARGS)
    return tuple(t.to(dtype) for t in (x, w, whole(6), whole(*y.shape, seed=2)))


def separately(x, w, bias, addend, lowest, highest) -> Tensor:
    y = torch.ops.fastconv.conv2d(x, w, bias, *_ARGS)
    return decompositions.end_of_fused(y, addend, lowest, highest)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("way", WAYS)
def test_addends_of_any_strides_beside_results_of_any_layout(way, view):
    x, w, bias, addend = tensors()
    for memory_format in FORMATS:
        given = x.contiguous(memory_format=memory_format), w, bias, views(addend)[view]
        got, want = WAYS[way](*given, -2.0, 9.0, *_ARGS), separately(*given, -2.0, 9.0)
        assert torch.equal(got, want) and got.stride() == want.stride()


@pytest.mark.parametrize("way", WAYS)
def test_arguments_may_be_one_tensor(way):
    x, w = randn(2, 4, 5, 5), randn(4, 4, 1, 1)
    args = ((1, 1), (0, 0, 0, 0), (1, 1), 1)
    kept = x.clone()
    got = WAYS[way](x, w, None, x, 0.0, None, *args)
    assert torch.equal(got, (ops.conv2d(x, w, None, *args) + x).relu()) and torch.equal(x, kept)
    square = randn(3, 3, 3, 3)
    args = ((1, 1), (1, 1, 1, 1), (1, 1), 1)
    got = WAYS[way](square, square, square[0, 0, 0], square, None, 0.5, *args)
    want = ops.conv2d(square, square, square[0, 0, 0].clone(), *args)
    assert torch.equal(got, (want + square).clamp(max=0.5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_bounds_are_those_of_torchs_clamp(dtype):
    x, w, bias, _ = tensors(dtype)
    x[0, 0, 3, 3] = float("nan")
    y = ops.conv2d(x, w, bias, *_ARGS)
    for bounds in [(0, None), (None, 0.1), (-0.3, 0.1), (2, 1), (-float("inf"), float("inf"))]:
        got = by_name(x, w, bias, None, *bounds, *_ARGS)
        torch.testing.assert_close(got, y.clamp(*bounds), rtol=0, atol=0, equal_nan=True)
    assert got.isnan().any()
    relu = by_name(x, w, bias, None, 0.0, None, *_ARGS)
    torch.testing.assert_close(relu, y.relu(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("way", WAYS)
def test_wrong_arguments(way):
    x, w, bias, addend = tensors()
    call = WAYS[way]
    for wrong in (addend[:1], addend[0], addend.mT, addend.new_zeros(1)):
        for meta in (False, True) if call is by_name else (False,):
            given = (x, w, bias, wrong)
            given = [t.to("meta") for t in given] if meta else given
            with pytest.raises(ValueError, match="addend has the size"):
                call(*given, 0.0, None, *_ARGS)
    with pytest.raises(RuntimeError, match="do not mix"):
        call(x, w, bias, addend.float(), 0.0, None, *_ARGS)
    with pytest.raises(NotImplementedError, match="no kernel for"):
        call(*(t.int() for t in (x, w, bias, addend)), 0.0, None, *_ARGS)
    for bounds in ((float("nan"), None), (None, float("nan"))):
        with pytest.raises(ValueError, match="not a number"):
            call(x, w, bias, addend, *bounds, *_ARGS)
    with pytest.raises(ValueError, match="dilation must be at least 1"):
        call(x, w, bias, None, 0.0, None, *_ARGS[:2], (1, 0), 2)


def test_gradients_are_those_of_what_follows_one_another():
    leaves = [t.requires_grad_() for t in tensors()]
    bounds = (-4.5, 5.5)
    results = []
    for y in (by_name(*leaves, *bounds, *_ARGS), separately(*leaves, *bounds)):
        results.append((y, *torch.autograd.grad(y.square().sum(), leaves)))
    assert_all_equal(*results)


def test_flops_and_explain_count_the_convolution():
    class Fused(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return by_name(x, w, bias, addend, 0.0, None, *_ARGS)

    x, w, bias, addend = tensors()
    counted = []
    for call in (Fused(), lambda x: ops.conv2d(x, w, bias, *_ARGS)):
        with FlopCounterMode(display=False) as counter:
            call(x)
        counted.append(counter.get_total_flops())
    assert counted[0] == counted[1] > 0
    assert "conv2d" in str(fastconv.explain(Fused(), x))


def test_transformed_filters_are_kept(empty_filter_cache):
    x, w = randn(4, 64, 28, 28, dtype=torch.float32), randn(64, 64, 3, 3, dtype=torch.float32)
    args = ((1, 1), (1, 1, 1, 1), (1, 1), 1)
    with fastconv.flags(disabled_paths={"direct", "gemm"}):
        y = ops.conv2d(x, w, None, *args)
        for call in WAYS.values():
            fastconv.clear_filter_cache()
            for _ in range(2):
                assert torch.equal(call(x, w, None, x, 0.0, None, *args, True), (y + x).relu())
            assert fastconv.core.extension._C.filter_cache_bytes() > 0
