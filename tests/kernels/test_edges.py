"""Extents at the edge of int64, wide rows, many phases: nothing wraps or hangs."""

import pytest
import torch
import torch.nn.functional as F
from raw_kernels import supporting

from fastconv import functional
from fastconv.core.extension import _C

MOST = 2**31 - 1


def test_products_of_huge_strides_and_dilations_do_not_wrap():
    x, w = torch.randn(1, 8, 1, 1), torch.randn(8, 8, 2, 2)
    shape = _C.Conv2dShape(
        tuple(x.shape), tuple(w.shape), (MOST, MOST), (MOST,) * 4, (MOST, MOST), 1
    )
    for direction in ("forward", "backward_weight"):
        assert "direct" not in supporting(direction, shape)
    y = functional.conv2d(x, w, stride=MOST, padding=MOST, dilation=MOST)
    # Output (i, j) sees the only pixel through tap (1 - i, 1 - j).
    taps = torch.einsum("oihw,ni->nohw", w, x[:, :, 0, 0]).flip(2, 3)
    torch.testing.assert_close(y, taps)


def test_output_of_more_than_2_62_elements_is_torchs_affair():
    with pytest.raises(RuntimeError):
        functional.conv2d(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1), padding=MOST)


def test_stride_beyond_the_image_in_every_phase():
    x = torch.randn(1, 1, 100, 100, dtype=torch.float64, requires_grad=True)
    w = torch.randn(10, 1, 1, 1, dtype=torch.float64)
    functional.conv2d(x, w, stride=MOST, dilation=2).sum().backward()
    expected = torch.zeros_like(x)
    expected[0, 0, 0, 0] = w.sum()
    torch.testing.assert_close(x.grad, expected)


def test_patches_of_a_vision_transformer():
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    w = torch.randn(8, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    got = torch.autograd.grad(functional.conv2d(x, w, stride=16).square().sum(), (x, w))
    want = torch.autograd.grad(F.conv2d(x, w, stride=16).square().sum(), (x, w))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("kernel", [600, 65536])
def test_windows_of_mostly_padding(kernel):
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    for run in (functional.max_pool2d, F.max_pool2d):
        y, indices = run(x, kernel, padding=kernel // 2, return_indices=True)
        (grad,) = torch.autograd.grad(y.sum(), x)
        if run is functional.max_pool2d:
            ours = y, indices, grad
    assert all(torch.equal(a, b) for a, b in zip(ours, (y, indices, grad), strict=True))


def test_channels_expanded_from_one_are_not_channels_last():
    gray = torch.randn(2, 1, 8, 8).expand(2, 3, 8, 8)
    w = torch.randn(4, 3, 3, 3)
    assert functional.conv2d(gray, w).stride() == F.conv2d(gray, w).stride()
    assert functional.max_pool2d(gray, 2).stride() == F.max_pool2d(gray, 2).stride()


def test_tensor_that_escaped_its_transform():
    escaped = []
    torch.func.grad(lambda x: (escaped.append(x), x.sum())[1])(torch.ones(1, 2, 5, 5))
    w = torch.randn(3, 2, 3, 3)
    assert torch.equal(
        functional.conv2d(escaped[0], w), functional.conv2d(torch.ones(1, 2, 5, 5), w)
    )


def test_a_million_columns():
    x, w = torch.randn(1, 2, 1, 10**6), torch.randn(3, 2, 1, 5)
    y = functional.conv2d(x, w, padding=(0, 2))
    torch.testing.assert_close(y[..., -9:], F.conv2d(x[..., -11:], w, padding=(0, 2))[..., -9:])
