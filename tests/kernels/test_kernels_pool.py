"""The pools' kernels on raw buffers against torch; run once per instruction set by test_isa.py."""

import pytest
import torch
import torch.nn.functional as F
from cases import DILATED_POOL_CASES, POOL_CASES, PoolCase
from raw_kernels import DTYPES, NUMBERS, assert_same, buffer, from_memory, in_memory, unwritten
from reference import dot_bound

from fastconv.core.extension import _C


def pool_shape(case: PoolCase, channels_last: bool):
    return _C.Pool2dShape(case.input_size, case.kernel, case.stride, case.padding, case.dilation,
                          case.ceil_mode, case.count_include_pad, case.divisor_override or 0,
                          channels_last)  # fmt: skip


def pool_input(case: PoolCase, dtype: torch.dtype, data: str) -> torch.Tensor:
    x = torch.randn(case.input_size, dtype=dtype)
    if data == "ties":
        x = x.round()
    if data == "special":
        x[torch.rand_like(x) < 0.2] = float("nan")
        x[torch.rand_like(x) < 0.5] = -float("inf")
    return x


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("data", ["normal", "ties", "special"])
@pytest.mark.parametrize("channels_last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("case", POOL_CASES + DILATED_POOL_CASES, ids=lambda c: c.name)
def test_max_pool2d(case, channels_last, data, dtype):
    x = pool_input(case, dtype, data).requires_grad_()
    y, indices = F.max_pool2d(x, case.kernel, case.stride, case.padding, case.dilation,
                              case.ceil_mode, return_indices=True)  # fmt: skip
    grad_y = torch.randn_like(y)
    y.backward(grad_y)
    shape, code = pool_shape(case, channels_last), NUMBERS[dtype]
    assert (shape.N, shape.C, shape.OH, shape.OW) == y.shape
    raw_x, raw_grad_y = in_memory(x.detach(), channels_last), in_memory(grad_y, channels_last)
    for threads in (1, 2):
        ours, without = unwritten(y.shape, dtype), unwritten(y.shape, dtype)
        code_type = torch.uint8 if shape.byte_codes else torch.int32
        codes = torch.full((y.numel(),), 77, dtype=code_type)
        grad_x = unwritten(x.shape, dtype)
        _C.max_pool2d_forward(code, shape, buffer(raw_x), buffer(ours), buffer(codes), threads)
        _C.max_pool2d_forward(code, shape, buffer(raw_x), buffer(without), None, threads)
        _C.max_pool2d_backward(
            code, shape, buffer(raw_grad_y), buffer(codes), buffer(grad_x), threads
        )
        assert_same(from_memory(ours, y.shape, channels_last), y.detach())
        assert_same(ours, without)
        placed = from_memory(codes, y.shape, channels_last).long()
        kh, kw = placed // case.kernel[1], placed % case.kernel[1]
        oh, ow = torch.arange(shape.OH)[:, None], torch.arange(shape.OW)
        ih = oh * case.stride[0] - case.padding[0] + kh * case.dilation[0]
        iw = ow * case.stride[1] - case.padding[1] + kw * case.dilation[1]
        assert torch.equal(ih * case.IW + iw, indices)
        ours_grad = from_memory(grad_x, x.shape, channels_last)
        windows = case.kernel[0] * case.kernel[1]
        most = windows * grad_y.abs().max() if y.numel() else torch.tensor(0.0)
        bound = dot_bound(windows, most, dtype)
        assert ((ours_grad - x.grad).abs() <= bound).all()


ADAPTIVE = [
    ((3, 5, 1, 1), (7, 3)),
    ((2, 3, 8, 8), (4, 2)),
    ((1, 5, 7, 9), (3, 4)),
    ((2, 17, 3, 3), (5, 4)),
    ((3, 4, 6, 5), (1, 1)),
    ((1, 9, 40, 41), (2, 1)),
    ((0, 4, 6, 5), (2, 2)),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("data", ["normal", "ties", "special"])
@pytest.mark.parametrize("channels_last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("size, output", ADAPTIVE)
def test_adaptive_max_pool2d(size, output, channels_last, data, dtype):
    x = pool_input(PoolCase("", *size, (1, 1), (1, 1)), dtype, data).requires_grad_()
    y, indices = F.adaptive_max_pool2d(x, output, return_indices=True)
    grad_y = torch.randn_like(y)
    y.backward(grad_y)
    shape, code = _C.Pool2dShape.adaptive(size, output, channels_last), NUMBERS[dtype]
    raw_x, raw_grad_y = in_memory(x.detach(), channels_last), in_memory(grad_y, channels_last)
    for threads in (1, 2):
        ours, grad_x = unwritten(y.shape, dtype), unwritten(x.shape, dtype)
        codes = torch.full((y.numel(),), 77, dtype=torch.int32)
        raw_indices = torch.full((y.numel(),), -1)
        _C.max_pool2d_forward(code, shape, buffer(raw_x), buffer(ours), buffer(codes), threads)
        _C.max_pool2d_indices(shape, buffer(codes), buffer(raw_indices), threads)
        _C.max_pool2d_backward(
            code, shape, buffer(raw_grad_y), buffer(codes), buffer(grad_x), threads
        )
        assert_same(from_memory(ours, y.shape, channels_last), y.detach())
        assert torch.equal(from_memory(raw_indices, y.shape, channels_last), indices)
        most = grad_y.abs().max() if y.numel() else torch.tensor(0.0)
        bound = dot_bound(16, 16 * most, dtype)
        assert ((from_memory(grad_x, x.shape, channels_last) - x.grad).abs() <= bound).all()


def test_max_pool2d_backward_ignores_codes_outside_the_window():
    case = PoolCase("k2", 1, 2, 4, 4, (2, 2), (2, 2))
    grad_y, guarded = torch.ones(1, 2, 2, 2), torch.zeros(3 * 32)
    grad_x = guarded[32:64]
    for channels_last in (False, True):
        guarded.fill_(torch.nan)
        codes = torch.tensor([0, 3, 4, 255] * 2, dtype=torch.uint8)
        shape = pool_shape(case, channels_last)
        _C.max_pool2d_backward(
            _C.DTYPES["float32"], shape, buffer(grad_y), buffer(codes), buffer(grad_x), 1
        )
        assert guarded[:32].isnan().all() and guarded[64:].isnan().all()
        assert grad_x.sum() == 4 and set(grad_x.tolist()) == {0, 1}


def check_average(x, shape, reference, windows, channels_last):
    x.requires_grad_()
    exact_x = x.detach().double().clone().requires_grad_()
    exact = reference(exact_x)
    grad_y = torch.randn(exact.shape, dtype=x.dtype)
    exact.backward(grad_y.double())
    code, runs = NUMBERS[x.dtype], []
    for threads in (1, 2):
        y, grad_x = unwritten(exact.shape, x.dtype), unwritten(x.shape, x.dtype)
        raw_x, raw_grad_y = in_memory(x.detach(), channels_last), in_memory(grad_y, channels_last)
        _C.avg_pool2d_forward(code, shape, buffer(raw_x), buffer(y), threads)
        _C.avg_pool2d_backward(code, shape, buffer(raw_grad_y), buffer(grad_x), threads)
        runs.append((y, grad_x))
    for one, two in zip(*runs, strict=True):
        assert torch.equal(one, two)
    absolute = x.detach().double().abs().requires_grad_()
    magnitude = reference(absolute)
    magnitude.backward(torch.where(magnitude < 0, -1, 1) * grad_y.double().abs())
    y, grad_x = (from_memory(*raw, channels_last) for raw in ((y, exact.shape), (grad_x, x.shape)))
    # One rounding more than terms for each division, or for a reciprocal of rows or columns and its
    # product.
    assert ((y - exact).abs() <= dot_bound(windows + 4, magnitude.abs(), x.dtype)).all()
    bound = dot_bound(windows + 4, absolute.grad.abs(), x.dtype)
    assert ((grad_x - exact_x.grad).abs() <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("channels_last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("case", POOL_CASES, ids=lambda c: c.name)
def test_avg_pool2d(case, channels_last, dtype):
    def reference(x):
        return F.avg_pool2d(x, case.kernel, case.stride, case.padding, case.ceil_mode,
                            case.count_include_pad, case.divisor_override)  # fmt: skip

    x = torch.randn(case.input_size, dtype=dtype)
    windows = case.kernel[0] * case.kernel[1]
    check_average(x, pool_shape(case, channels_last), reference, windows, channels_last)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("channels_last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize(
    "size, output",
    ADAPTIVE,
)
def test_adaptive_avg_pool2d(size, output, channels_last, dtype):
    shape = _C.Pool2dShape.adaptive(size, output, channels_last)
    windows = (size[2] // output[0] + 2) * (size[3] // output[1] + 2) * 4
    check_average(torch.randn(size, dtype=dtype), shape, lambda x: F.adaptive_avg_pool2d(x, output),
                  windows, channels_last)  # fmt: skip
