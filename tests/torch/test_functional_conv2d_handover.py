"""What conv2d hands over to torch, by name and counted, and what it does not."""

import pytest
import torch
from reference import assert_within, conv2d_bounds, dot_bound, gradients, magnitude
from tensors import FLOATS, SHORT, randn

import fastconv
from fastconv.functional import conv2d

F = torch.nn.functional


@pytest.mark.parametrize(
    "dtype", (torch.complex64, torch.complex128, torch.int64, torch.int32), ids=str
)
def test_other_types_are_handed_over_and_counted(dtype: torch.dtype, no_handovers):
    x, w = (randn(2, 3, 5, 5) * 8).to(dtype), (randn(4, 3, 3, 3) * 8).to(dtype)
    for calls in (1, 2):
        y = conv2d(x, w, padding=1)
        assert torch.equal(y, F.conv2d(x, w, padding=1)) and y.dtype is dtype
        assert fastconv.handovers() == {("conv2d", "dtype"): calls}
    conv2d(x.real.double(), w.real.double())  # runs here
    assert fastconv.handovers(reset=True) == {("conv2d", "dtype"): 2}
    assert fastconv.handovers() == {}


def test_types_differ_on_a_device_without_autocast():
    x, w = torch.empty(2, 4, 6, 6, device="meta"), torch.ones(4, 4, 3, 3, dtype=torch.int64)
    assert conv2d(x, w).shape == F.conv2d(x, w).shape


def test_complex_gradients_come_from_torch():
    x, w = randn(1, 2, 5, 5, dtype=torch.complex128), randn(3, 2, 3, 3, dtype=torch.complex128)
    grad_y = torch.ones(1, 3, 3, 3, dtype=torch.complex128)
    for g, t in zip(
        gradients(conv2d, grad_y, x, w), gradients(F.conv2d, grad_y, x, w), strict=True
    ):
        assert torch.equal(g, t)


def test_bool_is_an_error_and_no_handover(no_handovers):
    x, w = torch.ones(1, 1, 3, 3, dtype=torch.bool), torch.ones(1, 1, 2, 2, dtype=torch.bool)
    with pytest.raises(RuntimeError, match="not implemented for 'Bool'") as theirs:
        F.conv2d(x, w)
    with pytest.raises(theirs.type) as ours:
        conv2d(x, w)
    assert ours.type is theirs.type and str(ours.value) == str(theirs.value)
    assert fastconv.handovers() == {}


def test_floats_are_not_handed_over(no_handovers):
    for dtype in (*FLOATS, *SHORT):
        x = randn(2, 3, 5, 5, dtype=dtype).requires_grad_()
        conv2d(x, randn(4, 3, 3, 3, dtype=dtype), padding="same").sum().backward()
        conv2d(x[0], randn(4, 3, 3, 3, dtype=dtype))
        conv2d(x[:0], randn(4, 3, 3, 3, dtype=dtype))
    assert fastconv.handovers() == {}


def test_no_input_channels_is_torchs_affair(no_handovers):
    x, w = torch.empty(2, 0, 8, 8), torch.empty(6, 0, 3, 3)
    assert conv2d(x, w).shape == F.conv2d(x, w).shape
    assert fastconv.handovers() == {("conv2d", "arguments"): 1}


def test_meta_tensors_are_torchs_affair(no_handovers):
    y = conv2d(torch.empty(2, 3, 8, 8, device="meta"), torch.empty(4, 3, 3, 3, device="meta"))
    assert y.shape == (2, 4, 6, 6) and y.is_meta
    assert fastconv.handovers() == {("conv2d", "device"): 1}


def test_mkldnn_tensors_are_torchs_affair(no_handovers):
    x, w = randn(2, 3, 8, 8, dtype=torch.float32), randn(4, 3, 3, 3, dtype=torch.float32)
    y = conv2d(x.to_mkldnn(), w)
    assert y.layout is torch._mkldnn
    y = y.to_dense()
    limit = conv2d_bounds(x, w, None, y, x.dtype)[0]
    assert_within(y, F.conv2d(x.double(), w.double()), limit)
    assert fastconv.handovers() == {("conv2d", "layout"): 1}


def test_tensor_of_zeros_without_memory():
    zeros = torch._efficientzerotensor((2, 3, 6, 6), dtype=torch.float64)
    w, bias = randn(4, 3, 3, 3), randn(4)
    want = F.conv2d(torch.zeros(2, 3, 6, 6, dtype=torch.float64), w, bias)
    assert torch.equal(conv2d(zeros, w, bias) + 0, want)


def test_stride_beyond_32_bits():
    x, w = randn(1, 1, 4, 4), randn(1, 1, 2, 2)
    y = conv2d(x, w, stride=2**40)
    assert_within(
        y, F.conv2d(x, w, stride=2**40), dot_bound(5, magnitude(x) * magnitude(w) * 4, x.dtype)
    )
