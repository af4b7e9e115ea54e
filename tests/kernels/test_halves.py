"""float16 and bfloat16 on raw buffers: widened, summed in float32, rounded once; run once per
instruction set by test_isa.py."""

import math

import pytest
import torch
import torch.nn.functional as F
from cases import CONV_CASES, DILATED_POOL_CASES, POOL_CASES, ConvCase, PoolCase
from raw_kernels import (
    DIRECTIONS,
    HALVES,
    LAYOUTS,
    NUMBERS,
    Conv,
    assert_same,
    buffer,
    from_memory,
    in_memory,
    multiplies_pairs,
    plain_sums,
    supporting,
    unwritten,
)
from reference import WINOGRAD, assert_rounded_once, dot_bound

from fastconv.core.extension import _C

PLAIN = {d: plain_sums(d) for d in DIRECTIONS}
# Each kernel and each kind of row: whole vectors and their rests.
CASES = [
    case
    for case in CONV_CASES
    if case.name
    in {
        "one pixel", "rows of 17, 17 channels", "1x1", "even kernel, four paddings",
        "stride 2 and dilation 3", "3 groups", "depthwise, two filters each",
        "depthwise, 17 channels, 7x7", "depthwise 7x7, rows of 37", "depthwise, 33x9 filters",
        "depthwise, stride 2, 33 channels", "no images", "no input channels",
        "1x1, a chunk of terms and one more", "3x3 stride 2, pairs of phases",
        "map of 2x2, 9 images", "wide rows", "fewer pixels than channels, 2 groups",
    }
] + [ConvCase("3x3, many tiles", 2, 17, 18, 31, 19, 3, 3, padding=(1, 1, 1, 1))]  # fmt: skip


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_conv2d_paths(case, dtype):
    for layout in LAYOUTS:
        conv = Conv(case, dtype, layout)
        for direction in DIRECTIONS:
            paths = supporting(direction, conv.shape, NUMBERS[dtype])
            assert case.N * case.IC == 0 or {"direct", "gemm"} <= set(paths)
            for path in paths:
                for name, result in conv.run(direction, path).items():
                    magnitude = conv.magnitude[name]
                    if path not in PLAIN[direction]:
                        magnitude = WINOGRAD * magnitude.amax()
                    bound = dot_bound(conv.terms(direction), magnitude, torch.float32)
                    what = f"{layout} {direction} {path} {name}"
                    assert_rounded_once(result, conv.exact[name], bound, what)


def product(dtype: torch.dtype, x: torch.Tensor, factor: float, path: str) -> torch.Tensor:
    """x times factor, an image of one row, by a 1x1 convolution."""
    shape = _C.Conv2dShape((1, 1, 1, len(x)), (1, 1, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1)
    w, y = torch.tensor([factor], dtype=dtype), unwritten((len(x),), dtype)
    _C.conv2d_forward(NUMBERS[dtype], shape, buffer(x), buffer(w), None, buffer(y), 1, path)
    return y


@pytest.mark.parametrize("path", ["gemm", "direct", "reference"])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_every_value_is_widened_and_rounded_to_nearest_even(dtype, path):
    """A product of two short numbers is exact in float32, so that torch rounds what we round: ties,
    denormals, what becomes infinite, and NaN."""
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype)
    flushes = dtype is torch.bfloat16 and path == "gemm" and multiplies_pairs()
    normal = torch.finfo(torch.float32).smallest_normal if flushes else 0
    for factor in (1.0, -1.5, 1 + torch.finfo(dtype).eps, 2.0**-9, 3e-3, 300.0):
        x = torch.where(every.abs() < normal, 0, every)
        exact = x.double() * torch.tensor(factor, dtype=dtype).double()
        exact = torch.where(exact.abs() < normal, 0, exact)
        assert_same(product(dtype, every, factor, path), exact.float().to(dtype))
    zeros = torch.tensor([0.0, -0.0], dtype=dtype)
    assert torch.equal(product(dtype, zeros, -1.0, path), -zeros)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_sums_beyond_a_chunk_are_not_rounded_between(dtype):
    """1 + 1023 * 2^-12 in chunks: 2^-12 is lost if a chunk is rounded to 11 or 8 bits."""
    case = ConvCase("", 2, 1024, 3, 3, 16, 1, 1)
    for layout in ("nchw", "nhwc"):
        conv = Conv(case, dtype, layout)
        conv.w.fill_(2.0**-12)
        conv.w[(slice(None), 0) if layout == "nchw" else (..., 0)] = 1
        conv.x.fill_(1)
        conv.bias.zero_()
        want = torch.tensor(1 + 1023 * 2.0**-12).to(dtype)
        for path in ("gemm", "small-map", "direct"):
            assert (conv.run("forward", path)["forward"] == want).all(), path


POOLS = [
    case
    for case in POOL_CASES + DILATED_POOL_CASES
    if case.name
    in {
        "k2, odd extents", "k3 s2 p1, ceil_mode", "k3 s1 p1", "k3 by 2, s1 by 3", "whole plane",
        "window of more than 256", "divisor", "ceil_mode, not counted", "no images", "k2 on 11x2x4",
        "k2 on 5x4x8", "k2, rows of 7 outputs", "k13 s1 p6", "wide k13 by 15, s1",
        "dilation 2 by 3",
    }
]  # fmt: skip
SIZES = [((2, 3, 8, 8), (4, 2)), ((1, 5, 7, 9), (3, 4)), ((2, 17, 3, 3), (5, 4)),
         ((3, 4, 6, 5), (1, 1))]  # fmt: skip


def shapes(channels_last: bool):
    """(shape, input size, torch's function of (x, maximum), window elements) of plain and adaptive
    pools."""
    for case in POOLS:
        shape = _C.Pool2dShape(case.input_size, case.kernel, case.stride, case.padding,
                               case.dilation, case.ceil_mode, case.count_include_pad,
                               case.divisor_override or 0, channels_last)  # fmt: skip

        def pool(x, maximum, case: PoolCase = case):
            given = case.kernel, case.stride, case.padding
            if maximum:
                return F.max_pool2d(x, *given, case.dilation, case.ceil_mode)
            return F.avg_pool2d(x, *given, case.ceil_mode, case.count_include_pad,
                                case.divisor_override)  # fmt: skip

        averages = case.dilation == (1, 1)
        yield case.name, shape, case.input_size, pool, math.prod(case.kernel), averages
    for size, output in SIZES:

        def adaptive(x, maximum, output=output):
            return (F.adaptive_max_pool2d if maximum else F.adaptive_avg_pool2d)(x, output)

        shape = _C.Pool2dShape.adaptive(size, output, channels_last)
        yield f"{size} to {output}", shape, size, adaptive, size[2] * size[3], True


def gradients(pool, x: torch.Tensor, grad_y: torch.Tensor, maximum: bool) -> list[torch.Tensor]:
    """[y, grad_x, sums of absolute values] in float64, of values that stay distinct."""
    y, grads = None, []
    for g in (grad_y, grad_y.abs()):
        leaf = x.double().requires_grad_()
        y = pool(leaf, maximum)
        grads.append(torch.autograd.grad(y, leaf, g.double())[0])
    return [y.detach(), *grads]


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("channels_last", [False, True], ids=["nchw", "nhwc"])
def test_pools(channels_last, dtype):
    number = NUMBERS[dtype]
    for name, shape, size, pool, windows, averages in shapes(channels_last):
        y_size = shape.N, shape.C, shape.OH, shape.OW
        x, grad_y = torch.randn(size).to(dtype), torch.randn(y_size).to(dtype)
        raw_x, raw_grad_y = in_memory(x, channels_last), in_memory(grad_y, channels_last)
        for maximum in (True, False)[: 1 + averages]:
            exact, exact_grad, absolute = gradients(pool, x, grad_y, maximum)
            y, grad_x = unwritten(y_size, dtype), unwritten(size, dtype)
            what = f"{name}, {'max' if maximum else 'average'}"
            if maximum:
                byte = shape.byte_codes and "to" not in name
                codes = torch.full((exact.numel(),), 77, dtype=torch.uint8 if byte else torch.int32)
                _C.max_pool2d_forward(number, shape, buffer(raw_x), buffer(y), buffer(codes), 2)
                _C.max_pool2d_backward(number, shape, buffer(raw_grad_y), buffer(codes),
                                       buffer(grad_x), 2)  # fmt: skip
            else:
                _C.avg_pool2d_forward(number, shape, buffer(raw_x), buffer(y), 2)
                _C.avg_pool2d_backward(number, shape, buffer(raw_grad_y), buffer(grad_x), 2)
            got = from_memory(y, y_size, channels_last)
            got_grad = from_memory(grad_x, size, channels_last)
            if maximum:
                assert torch.equal(got.double(), exact), what
            else:
                sums = pool(x.double().abs(), False).abs()
                limit = dot_bound(windows + 4, sums, torch.float32)
                assert_rounded_once(got, exact, limit, what)
            limit = dot_bound(windows + 4, absolute.abs(), torch.float32)
            assert_rounded_once(got_grad, exact_grad, limit, f"gradient of {what}")
