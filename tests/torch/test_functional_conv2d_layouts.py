"""conv2d of tensors in any memory format, and of views: values, and the strides torch gives."""

from itertools import product

import pytest
import torch
from reference import assert_within, check_conv2d, conv2d_bounds, conv2d_reference, gradients
from tensors import FLOATS, FORMATS, SHORT, VIEWS, channels_last, randn, views

from fastconv.functional import conv2d

F = torch.nn.functional

LAYOUT_SHAPES = {
    "ordinary": ((2, 4, 6, 5), (6, 4, 3, 3), {}),
    "strided_padded": ((2, 4, 6, 5), (6, 4, 3, 3), {"stride": 2, "padding": 1}),
    "groups": ((2, 4, 6, 5), (6, 2, 3, 3), {"groups": 2}),
    "depthwise": ((2, 4, 6, 5), (4, 1, 3, 3), {"groups": 4}),
    "pointwise": ((2, 4, 6, 5), (6, 4, 1, 1), {}),
    "one_input_channel": ((2, 1, 6, 5), (6, 1, 3, 3), {}),
    "one_output_channel": ((2, 4, 6, 5), (1, 4, 3, 3), {}),
    "one_channel_each": ((2, 1, 6, 5), (1, 1, 3, 3), {}),
    "image_of_one_pixel": ((2, 4, 1, 1), (6, 4, 1, 1), {}),
    "image_of_one_pixel_padded": ((2, 4, 1, 1), (6, 4, 3, 3), {"padding": 1}),
    "output_of_one_pixel": ((2, 4, 3, 3), (6, 4, 3, 3), {}),
    "batch_of_one": ((1, 4, 6, 5), (6, 4, 3, 3), {}),
}


@pytest.mark.parametrize("name", LAYOUT_SHAPES)
@pytest.mark.parametrize("dtype", (*FLOATS, *SHORT), ids=str)
def test_memory_formats(name: str, dtype: torch.dtype):
    """The output's is torch's; each gradient's is its tensor's, so that .grad needs no copy."""
    x_size, w_size, kwargs = LAYOUT_SHAPES[name]
    for x_format in FORMATS:
        for w_format in FORMATS:
            x = randn(*x_size, dtype=dtype).contiguous(memory_format=x_format)
            w = randn(*w_size, dtype=dtype).contiguous(memory_format=w_format)
            want = F.conv2d(x, w, **kwargs)
            for grad_y in (torch.ones_like(want), torch.ones_like(want).contiguous()):
                y, *grads = gradients(lambda *t: conv2d(*t, **kwargs), grad_y, x, w)
                assert y.stride() == want.stride(), (x.stride(), w.stride())
                for t, grad in zip((x, w), grads, strict=True):
                    for form in FORMATS:
                        assert grad.is_contiguous(memory_format=form) == t.is_contiguous(
                            memory_format=form
                        ), (t.stride(), grad.stride())


EXTENTS = tuple(product((1, 2), (1, 3), (1, 4), (1, 2, 3), (1, 2)))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_strides_of_extents_of_one(dtype: torch.dtype, groups: int):
    """(N, channels of a group, IH, IW) and filters of 1x1, of the whole image, and between."""
    compared = 0
    for n, height, width, group_ic, group_oc in EXTENTS:
        for kernel in product({1, height}, {1, width}):
            x = randn(n, groups * group_ic, height, width, dtype=dtype)
            w = randn(groups * group_oc, group_ic, *kernel, dtype=dtype)
            for x_format, w_format in product(FORMATS, FORMATS):
                given = (x.contiguous(memory_format=x_format), w.contiguous(memory_format=w_format))
                want = F.conv2d(*given, groups=groups)
                for y in (
                    conv2d(*given, groups=groups),
                    conv2d(*(t.clone().requires_grad_() for t in given), groups=groups),
                    torch.ops.fastconv.conv2d(
                        *(t.to("meta") for t in given), None, (1, 1), (0,) * 4, (1, 1), groups
                    ),
                ):
                    assert y.stride() == want.stride(), (x.shape, w.shape, x_format, w_format)
                    compared += 1
    assert compared > 1000


def strides_that_matter(t: torch.Tensor) -> list[int]:
    return [stride for extent, stride in zip(t.shape, t.stride(), strict=True) if extent > 1]


def test_accumulated_gradients_have_the_strides_of_torchs():
    for name, (x_size, w_size, kwargs) in LAYOUT_SHAPES.items():
        for x_format in FORMATS:
            for w_format in FORMATS:
                strides = []
                for function in (conv2d, F.conv2d):
                    x = randn(*x_size).contiguous(memory_format=x_format).requires_grad_()
                    w = randn(*w_size).contiguous(memory_format=w_format).requires_grad_()
                    function(x, w, **kwargs).sum().backward()
                    strides.append([strides_that_matter(t.grad) for t in (x, w)])
                assert strides[0] == strides[1], name


def test_memory_formats_as_documented():
    x, w = randn(2, 4, 6, 5), randn(6, 4, 3, 3)
    grad_y = randn(2, 6, 4, 3)
    for x_last in (False, True):
        for w_last in (False, True):
            y, grad_x, grad_w = gradients(
                conv2d, grad_y, channels_last(x) if x_last else x, channels_last(w) if w_last else w
            )
            for t, last in ((y, x_last or w_last), (grad_x, x_last), (grad_w, w_last)):
                assert t.is_contiguous(memory_format=torch.channels_last) == last
                assert t.is_contiguous() != last


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("view", VIEWS)
def test_views(view: str, dtype: torch.dtype):
    x, w = randn(2, 4, 6, 5, dtype=dtype), randn(6, 2, 3, 3, dtype=dtype)
    bias, grad_y = randn(6, dtype=dtype), randn(2, 6, 6, 5, dtype=dtype)
    kwargs = {"padding": 1, "groups": 2}
    check_conv2d(conv2d, views(x)[view], w, bias, what="input", **kwargs)
    check_conv2d(conv2d, x, views(w)[view], bias, what="weight", **kwargs)
    check_conv2d(conv2d, x, w, bias, grad_y=views(grad_y)[view], what="grad_output", **kwargs)
    check_conv2d(conv2d, channels_last(x), w, bias, grad_y=views(grad_y)[view], **kwargs)
    every = {"grad_y": views(grad_y)[view], "what": "all", **kwargs}
    check_conv2d(conv2d, views(x)[view], views(w)[view], bias, **every)


def test_negative_bit_is_set_in_the_view_that_says_so():
    assert views(randn(1, 1, 2, 2))["negative_bit"].is_neg()


@pytest.mark.parametrize("bias", ["strided", "expanded", "negative_bit"])
def test_views_of_bias(bias: str):
    values = randn(6)
    view = {
        "strided": torch.stack([values, values * 0 + 9], 1)[:, 0],
        "expanded": values[:1].expand(6),
        "negative_bit": torch.complex(values * 0, -values).conj().imag,
    }[bias]
    check_conv2d(conv2d, randn(2, 4, 6, 5), randn(6, 4, 3, 3), view)


def test_gradient_of_a_sum_has_stride_zero():
    x, w, bias = randn(2, 3, 6, 6), randn(4, 3, 3, 3), randn(4)
    leaves = [t.requires_grad_() for t in (x, w, bias)]
    conv2d(*leaves).sum().backward()
    want = conv2d_reference(x, w, bias, torch.ones(2, 4, 4, 4))
    limits = conv2d_bounds(x, w, bias, torch.ones(2, 4, 4, 4), torch.float64)
    for leaf, t, limit in zip(leaves, want[1:], limits[1:], strict=True):
        assert_within(leaf.grad, t, limit)
