"""Every path of every direction on raw buffers against torch in float64; run once per instruction
set by test_isa.py.

Works on NumPy arrays: the kernels know nothing of tensors.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from cases import CONV_CASES, DILATED_POOL_CASES, POOL_CASES, ConvCase, PoolCase
from tolerance import dot_bound

from fastconv.extension import _C

DTYPES = {torch.float32: _C.FLOAT32, torch.float64: _C.FLOAT64}
LAYOUTS = {"nchw": (False, False, False), "nhwc": (True, True, True), "mixed": (True, False, True),
           "mixed weight": (False, True, False)}  # fmt: skip


def in_memory(t: torch.Tensor, channels_last: bool) -> np.ndarray:
    """The elements of `t` in the order in which they lie in memory in that layout."""
    if channels_last:
        t = t.permute(0, 2, 3, 1)
    return np.ascontiguousarray(t.numpy())


def from_memory(a: np.ndarray, size: tuple, channels_last: bool) -> torch.Tensor:
    n, c, h, w = size
    t = torch.from_numpy(a)
    return t.view(n, h, w, c).permute(0, 3, 1, 2) if channels_last else t.view(size)


def unwritten(size: tuple, dtype: torch.dtype) -> np.ndarray:
    return torch.full((int(np.prod(size)),), float("nan"), dtype=dtype).numpy()


def buffer(a: np.ndarray) -> tuple[int, int]:
    return a.ctypes.data, a.size


class Conv:
    """One case: inputs, the exact results, the bounds, and the kernels on raw buffers."""

    def __init__(self, case: ConvCase, dtype: torch.dtype, layout: str):
        self.case, self.dtype, self.last = case, dtype, LAYOUTS[layout]
        x, w = torch.randn(case.input_size, dtype=dtype), torch.randn(case.weight_size, dtype=dtype)
        bias = torch.randn(case.OC, dtype=dtype)
        self.shape = _C.Conv2dShape(case.input_size, case.weight_size, case.stride, case.padding,
                                    case.dilation, case.groups, *self.last)  # fmt: skip
        self.y_size = (case.N, case.OC, self.shape.OH, self.shape.OW)
        grad_y = torch.randn(self.y_size, dtype=dtype)
        self.tensors = x, w, bias, grad_y
        self.exact = self.reference(x, w, bias, grad_y)
        self.magnitude = self.reference(x.abs(), w.abs(), bias.abs(), grad_y.abs())
        self.x, self.w, self.bias = (
            in_memory(x, self.last[0]),
            in_memory(w, self.last[1]),
            bias.numpy(),
        )
        self.grad_y = in_memory(grad_y, self.last[2])

    def reference(self, x, w, bias, grad_y) -> dict[str, torch.Tensor]:
        case, top, bottom, left, right = self.case, *self.case.padding
        x, w, bias = (t.double().clone().requires_grad_() for t in (x, w, bias))
        if case.IC == 0:  # torch gives such an output no channels
            y = bias[None, :, None, None].expand(self.y_size)
            return {
                "forward": y.detach(),
                "backward_input": x.detach(),
                "backward_weight": w.detach(),
                "bias": grad_y.double().sum((0, 2, 3)),
            }
        y = F.conv2d(
            F.pad(x, (left, right, top, bottom)),
            w,
            bias,
            case.stride,
            0,
            case.dilation,
            case.groups,
        )
        y.backward(grad_y.double())
        return {
            "forward": y.detach(),
            "backward_input": x.grad,
            "backward_weight": w.grad,
            "bias": bias.grad,
        }

    def terms(self, direction: str) -> int:
        case, shape = self.case, self.shape
        if direction == "forward":
            return shape.terms + 1
        if direction == "backward_input":
            return case.OC // case.groups * case.KH * case.KW
        return case.N * shape.OH * shape.OW

    def run(self, direction: str, path: str, threads: int = 2) -> dict[str, np.ndarray]:
        case, (x_last, w_last, y_last) = self.case, self.last
        dtype, shape = DTYPES[self.dtype], self.shape
        if direction == "forward":
            y = unwritten(self.y_size, self.dtype)
            _C.conv2d_forward(dtype, shape, *buffer(self.x), *buffer(self.w), *buffer(self.bias),
                              *buffer(y), threads, path)  # fmt: skip
            return {"forward": from_memory(y, self.y_size, y_last)}
        if direction == "backward_input":
            grad_x = unwritten(case.input_size, self.dtype)
            _C.conv2d_backward_input(dtype, shape, *buffer(self.grad_y), *buffer(self.w),
                                     *buffer(grad_x), threads, path)  # fmt: skip
            return {"backward_input": from_memory(grad_x, case.input_size, x_last)}
        grad_w, grad_bias = (
            unwritten(case.weight_size, self.dtype),
            unwritten((case.OC,), self.dtype),
        )
        _C.conv2d_backward_weight(dtype, shape, *buffer(self.grad_y), *buffer(self.x),
                                  *buffer(grad_w), *buffer(grad_bias), threads, path)  # fmt: skip
        return {"backward_weight": from_memory(grad_w, case.weight_size, w_last),
                "bias": torch.from_numpy(grad_bias)}  # fmt: skip


DIRECTIONS = ["forward", "backward_input", "backward_weight"]
# Of plain sums; Winograd's arithmetic has another bound (test_winograd.py).
PATHS = [(d, p) for d in DIRECTIONS for p in _C.conv2d_paths(d) if p != "winograd"]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CONV_CASES, ids=lambda c: c.name)
def test_conv2d_paths(case, layout, dtype):
    conv = Conv(case, dtype, layout)
    ran = set()
    for direction, path in PATHS:
        if path not in _C.conv2d_accepting_paths(direction, conv.shape):
            continue
        ran.add((direction, path))
        for name, result in conv.run(direction, path).items():
            bound = dot_bound(conv.terms(direction), conv.magnitude[name], dtype)
            error = (result.double() - conv.exact[name]).abs()
            assert (error <= bound).all(), f"{direction} {path}: {name} is off by {error.max()}"
    assert {(d, "reference") for d in DIRECTIONS} <= ran
    if case.N * case.IC > 0:
        assert {(d, "direct") for d in DIRECTIONS} <= ran


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", CONV_CASES, ids=lambda c: c.name)
def test_conv2d_same_bits_for_any_thread_count(case, direction):
    for layout in ("nchw", "nhwc"):
        conv = Conv(case, torch.float32, layout)
        for path in _C.conv2d_accepting_paths(direction, conv.shape):
            runs = [conv.run(direction, path, threads) for threads in (1, 2, 3, 7)]
            for other in runs[1:]:
                for name, result in runs[0].items():
                    assert torch.equal(result, other[name]), f"{path}: {name}"


def test_conv2d_one_nan_reaches_only_the_outputs_above_it():
    case = ConvCase("nan", 1, 2, 12, 13, 5, 3, 3, padding=(1, 1, 1, 1))
    conv = Conv(case, torch.float32, "nchw")
    conv.x[0, 1, 4, 6] = np.nan
    conv.grad_y[0, 2, 7, 3] = np.inf
    y = conv.run("forward", "direct")["forward"]
    touched = torch.zeros(12, 13, dtype=torch.bool)
    touched[3:6, 5:8] = True
    assert (y.isnan() == touched).all()
    grad_x = conv.run("backward_input", "direct")["backward_input"]
    touched = torch.zeros(12, 13, dtype=torch.bool)
    touched[6:9, 2:5] = True
    assert (grad_x.isfinite() == ~touched).all()


def test_wrong_buffers_are_refused():
    conv = Conv(CONV_CASES[1], torch.float32, "nchw")
    address, count = buffer(conv.x)
    y = unwritten(conv.y_size, torch.float32)

    def run(x, x_count, dtype=_C.FLOAT32, threads=1, path=""):
        _C.conv2d_forward(
            dtype, conv.shape, x, x_count, *buffer(conv.w), 0, 0, *buffer(y), threads, path
        )

    run(address, count)
    with pytest.raises(
        ValueError, match=f"x holds {count - 1} elements, but the shape has {count}"
    ):
        run(address, count - 1)
    with pytest.raises(ValueError, match="x holds 0 elements"):
        run(0, count)
    with pytest.raises(ValueError, match="not aligned"):
        run(address + 1, count)
    with pytest.raises(ValueError, match="dtype 7"):
        run(address, count, dtype=7)
    with pytest.raises(ValueError, match="threads must be positive"):
        run(address, count, threads=0)
    with pytest.raises(ValueError, match="no path is named 'fastest'"):
        run(address, count, path="fastest")


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"stride": (0, 1)}, "stride must be at least 1"),
        ({"padding": (0, -1, 0, 0)}, "padding must be at least 0"),
        ({"dilation": (1, 0)}, "dilation must be at least 1"),
        ({"groups": 2}, "divisible by groups"),
        ({"input": (1, 3, 2, 8)}, "larger than the padded input"),
        ({"input": (2**31, 3, 8, 8)}, "below 2\\^31"),
        ({"input": (2**30, 3, 2**30, 2**30)}, "more than 2\\^62 elements"),
        ({"weight": (4, 2, 3, 3)}, "IC / groups input channels"),
    ],
)
def test_wrong_shapes_are_refused(changes, sentence):
    good = {
        "input": (1, 3, 8, 8),
        "weight": (4, 3, 3, 3),
        "stride": (1, 1),
        "padding": (0, 0, 0, 0),
        "dilation": (1, 1),
        "groups": 1,
    }
    _C.Conv2dShape(**good)
    with pytest.raises(ValueError, match=sentence):
        _C.Conv2dShape(**(good | changes))


def test_workspace_is_a_few_rows_for_a_large_image():
    shape = _C.Conv2dShape((8, 64, 224, 224), (64, 64, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1)
    for direction in DIRECTIONS:
        assert 0 < _C.conv2d_workspace_bytes(direction, _C.FLOAT32, shape, 2, "direct") < 8 << 20


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
    shape, code = pool_shape(case, channels_last), DTYPES[dtype]
    assert (shape.N, shape.C, shape.OH, shape.OW) == y.shape
    raw_x, raw_grad_y = in_memory(x.detach(), channels_last), in_memory(grad_y, channels_last)
    for threads in (1, 2):
        ours, without = unwritten(y.shape, dtype), unwritten(y.shape, dtype)
        codes = np.full(y.numel(), 77, dtype=np.uint8 if shape.byte_codes else np.int32)
        grad_x = unwritten(x.shape, dtype)
        _C.max_pool2d_forward(code, shape, *buffer(raw_x), *buffer(ours), *buffer(codes), threads)
        _C.max_pool2d_forward(code, shape, *buffer(raw_x), *buffer(without), 0, 0, threads)
        _C.max_pool2d_backward(
            code, shape, *buffer(raw_grad_y), *buffer(codes), *buffer(grad_x), threads
        )
        torch.testing.assert_close(
            from_memory(ours, y.shape, channels_last), y.detach(), rtol=0, atol=0, equal_nan=True
        )
        np.testing.assert_array_equal(ours, without)
        kh, kw = np.divmod(
            from_memory(codes, y.shape, channels_last).long().numpy(), case.kernel[1]
        )
        ih = np.arange(shape.OH)[:, None] * case.stride[0] - case.padding[0] + kh * case.dilation[0]
        iw = np.arange(shape.OW) * case.stride[1] - case.padding[1] + kw * case.dilation[1]
        np.testing.assert_array_equal(ih * case.IW + iw, indices.numpy())
        ours_grad = from_memory(grad_x, x.shape, channels_last)
        windows = case.kernel[0] * case.kernel[1]
        most = windows * grad_y.abs().max() if y.numel() else torch.tensor(0.0)
        bound = dot_bound(windows, most, dtype)
        assert ((ours_grad - x.grad).abs() <= bound).all()


def test_max_pool2d_backward_ignores_codes_outside_the_window():
    case = PoolCase("k2", 1, 2, 4, 4, (2, 2), (2, 2))
    grad_y, guarded = np.ones((1, 2, 2, 2), np.float32), np.zeros(3 * 32, np.float32)
    grad_x = guarded[32:64]
    for channels_last in (False, True):
        guarded[:] = np.nan
        codes = np.array([0, 3, 4, 255] * 2, np.uint8)
        shape = pool_shape(case, channels_last)
        _C.max_pool2d_backward(
            _C.FLOAT32, shape, *buffer(grad_y), *buffer(codes), *buffer(grad_x), 1
        )
        assert np.isnan(guarded[:32]).all() and np.isnan(guarded[64:]).all()
        assert grad_x.sum() == 4 and set(grad_x) == {0, 1}


def check_average(x, shape, reference, windows, channels_last):
    x.requires_grad_()
    exact_x = x.detach().double().clone().requires_grad_()
    exact = reference(exact_x)
    grad_y = torch.randn(exact.shape, dtype=x.dtype)
    exact.backward(grad_y.double())
    code, runs = DTYPES[x.dtype], []
    for threads in (1, 2):
        y, grad_x = unwritten(exact.shape, x.dtype), unwritten(x.shape, x.dtype)
        raw_x, raw_grad_y = in_memory(x.detach(), channels_last), in_memory(grad_y, channels_last)
        _C.avg_pool2d_forward(code, shape, *buffer(raw_x), *buffer(y), threads)
        _C.avg_pool2d_backward(code, shape, *buffer(raw_grad_y), *buffer(grad_x), threads)
        runs.append((y, grad_x))
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    absolute = x.detach().double().abs().requires_grad_()
    magnitude = reference(absolute)
    magnitude.backward(torch.where(magnitude < 0, -1, 1) * grad_y.double().abs())
    y, grad_x = (from_memory(*raw, channels_last) for raw in ((y, exact.shape), (grad_x, x.shape)))
    # One rounding more than terms for each division.
    assert ((y - exact).abs() <= dot_bound(windows + 2, magnitude.abs(), x.dtype)).all()
    bound = dot_bound(windows + 2, absolute.grad.abs(), x.dtype)
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
    [
        ((2, 3, 8, 8), (4, 2)),
        ((1, 5, 7, 9), (3, 4)),
        ((2, 17, 3, 3), (5, 4)),
        ((3, 4, 6, 5), (1, 1)),
        ((0, 4, 6, 5), (2, 2)),
    ],
)
def test_adaptive_avg_pool2d(size, output, channels_last, dtype):
    shape = _C.Pool2dShape.adaptive(size, output, channels_last)
    windows = (size[2] // output[0] + 2) * (size[3] // output[1] + 2) * 4
    check_average(torch.randn(size, dtype=dtype), shape, lambda x: F.adaptive_avg_pool2d(x, output),
                  windows, channels_last)  # fmt: skip
