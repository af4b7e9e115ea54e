"""Wrong calls of conv2d: the class and the very words of torch's own exception."""

import numpy as np
import pytest
import torch
from wrong_calls import B, W, X, check_same, t

from fastconv import functional

F = torch.nn.functional

# name: all seven arguments of conv2d
CONV2D = {
    "input_2d": (t(8, 8), W, None, 1, 0, 1, 1),
    "input_5d": (t(1, 2, 4, 8, 8), W, None, 1, 0, 1, 1),
    "input_0d": (t(), W, None, 1, 0, 1, 1),
    "input_none": (None, W, None, 1, 0, 1, 1),
    "input_list": ([[1.0]], W, None, 1, 0, 1, 1),
    "input_numpy": (X.numpy(), W, None, 1, 0, 1, 1),
    "weight_none": (X, None, None, 1, 0, 1, 1),
    "weight_3d": (X, t(6, 4, 3), None, 1, 0, 1, 1),
    "weight_3d_pair": (X, t(6, 4, 3), None, (1, 1), (0, 0), (1, 1), 1),
    "weight_3d_same": (t(1, 1, 4, 3), t(1, 2, 2), None, 1, "same", 1, 1),
    "weight_5d": (X, t(6, 4, 3, 3, 3), None, 1, 0, 1, 1),
    "channels": (t(2, 3, 8, 8), W, None, 1, 0, 1, 1),
    "channels_unbatched": (t(3, 8, 8), W, None, 1, 0, 1, 1),
    "channels_grouped": (X, t(6, 4, 3, 3), None, 1, 0, 1, 2),
    "bias_length": (X, W, t(5), 1, 0, 1, 1),
    "bias_2d": (X, W, t(6, 1), 1, 0, 1, 1),
    "bias_0d": (X, W, t(), 1, 0, 1, 1),
    "bias_number": (X, W, 1.0, 1, 0, 1, 1),
    "weight_type": (X, W.double(), None, 1, 0, 1, 1),
    "input_type": (X.double(), W, B, 1, 0, 1, 1),
    "input_half": (X.half(), W, B, 1, 0, 1, 1),
    "bias_type": (X, W, B.double(), 1, 0, 1, 1),
    "double_module": (X, W.double(), B.double(), 1, 0, 1, 1),
    "integer_input": (X.long(), W, None, 1, 0, 1, 1),
    "bool": (X.bool(), W.bool(), None, 1, 0, 1, 1),
    "float8": (X.to(torch.float8_e4m3fn), W.to(torch.float8_e4m3fn), None, 1, 0, 1, 1),
    "groups_do_not_divide_weight": (X, t(6, 1, 3, 3), None, 1, 0, 1, 4),
    "groups_beyond_outputs": (t(1, 6, 4, 4), t(2, 2, 1, 3), None, 1, 0, 1, 3),
    "groups_zero": (X, W, None, 1, 0, 1, 0),
    "groups_negative": (X, W, None, 1, 0, 1, -1),
    "groups_float": (X, W, None, 1, 0, 1, 1.0),
    "groups_bool": (X, W, None, 1, 0, 1, True),
    "groups_pair": (X, W, None, 1, 0, 1, (1, 1)),
    "groups_none": (X, W, None, 1, 0, 1, None),
    "stride_zero": (X, W, None, 0, 0, 1, 1),
    "stride_negative": (X, W, None, (1, -1), 0, 1, 1),
    "stride_three": (X, W, None, (1, 1, 1), 0, 1, 1),
    "stride_empty": (X, W, None, (), 0, 1, 1),
    "stride_empty_list": (X, W, None, [], 0, 1, 1),
    "stride_float": (X, W, None, 1.5, 0, 1, 1),
    "stride_whole_float": (X, W, None, 1.0, 0, 1, 1),
    "stride_float_pair": (X, W, None, (1.0, 1.0), 0, 1, 1),
    "stride_bool": (X, W, None, True, 0, 1, 1),
    "stride_bool_pair": (X, W, None, (True, True), 0, 1, 1),
    "stride_none": (X, W, None, None, 0, 1, 1),
    "stride_string": (X, W, None, "1", 0, 1, 1),
    "stride_array": (X, W, None, np.array([1, 1]), 0, 1, 1),
    "stride_tensor": (X, W, None, torch.tensor([1, 1]), 0, 1, 1),
    "stride_set": (X, W, None, {1}, 0, 1, 1),
    "stride_beyond_64_bits": (X, W, None, 2**70, 0, 1, 1),
    "padding_negative": (X, W, None, 1, -1, 1, 1),
    "padding_three": (X, W, None, 1, (1, 1, 1), 1, 1),
    "padding_float": (X, W, None, 1, 0.5, 1, 1),
    "padding_float_pair": (X, W, None, 1, (0.0, 0.0), 1, 1),
    "padding_none": (X, W, None, 1, None, 1, 1),
    "padding_word": (X, W, None, 1, "foo", 1, 1),
    "padding_same_strided": (X, W, None, 2, "same", 1, 1),
    "padding_same_strided_one_axis": (X, W, None, (1, 2), "same", 1, 1),
    "padding_same_channels": (t(2, 3, 8, 8), W, None, 1, "same", 1, 1),
    "padding_same_2d": (t(8, 8), W, None, 1, "same", 1, 1),
    "padding_valid_kernel_too_large": (X, t(6, 4, 9, 9), None, 1, "valid", 1, 1),
    "padding_huge": (X, W, None, 1, 2**62, 1, 1),
    "padding_beyond_64_bits": (X, W, None, 1, 2**70, 1, 1),
    "dilation_zero": (X, W, None, 1, 0, 0, 1),
    "dilation_negative": (X, W, None, 1, 0, (-1,), 1),
    "dilation_three": (X, W, None, 1, 0, (1, 1, 1), 1),
    "dilation_float": (X, W, None, 1, 0, 1.0, 1),
    "kernel_beyond_image": (t(2, 4, 2, 2), W, None, 1, 0, 1, 1),
    "kernel_beyond_image_unbatched": (t(4, 2, 2), W, None, 1, 0, 1, 1),
    "kernel_beyond_image_dilated": (t(2, 4, 5, 5), W, None, 1, 0, 3, 1),
    "kernel_beyond_image_padded": (t(2, 4, 2, 2), t(6, 4, 5, 5), None, 1, 1, 1, 1),
    "kernel_of_no_rows": (X, t(6, 4, 0, 3), None, 1, 0, 1, 1),
    "image_of_no_rows": (t(2, 4, 0, 8), W, None, 1, 0, 1, 1),
    "image_of_no_rows_padded": (t(2, 4, 0, 8), W, None, 1, 2, 1, 1),
    "no_outputs": (X, t(0, 4, 3, 3), None, 1, 0, 1, 1),
    "no_inputs_for_weight": (t(2, 0, 8, 8), W, None, 1, 0, 1, 1),
    "empty_batch_channels": (t(0, 3, 8, 8), W, None, 1, 0, 1, 1),
}


@pytest.mark.parametrize("name", CONV2D)
def test_conv2d(name: str):
    check_same(functional.conv2d, F.conv2d, *CONV2D[name])


@pytest.mark.parametrize("name", CONV2D)
def test_conv2d_that_requires_grad(name: str):
    args = [
        a.detach().requires_grad_() if isinstance(a, torch.Tensor) and a.is_floating_point() else a
        for a in CONV2D[name]
    ]
    check_same(functional.conv2d, F.conv2d, *args)


@pytest.mark.parametrize("name", CONV2D)
def test_conv2d_after_equal_good_calls(name: str):
    """1.0 == 1 == True: what a good call left in a cache must not let a wrong one through."""
    for numbers in ((1, 0, 1), ((1, 1), (0, 0), (1, 1))):
        functional.conv2d(X, W, None, *numbers, 1)
    check_same(functional.conv2d, F.conv2d, *CONV2D[name])


@pytest.mark.parametrize(
    "wrong",
    [
        {"stride": (1.0, 1.0)},
        {"stride": (True, True)},
        {"padding": (0.0, 0.0)},
        {"padding": (False, False)},
        {"dilation": (1.0, 1)},
        {"groups": 1.0},
        {"groups": True},
        {"stride": 1.0},
    ],
    ids=repr,
)
def test_conv2d_wrong_then_good_then_wrong(wrong: dict):
    defaults = {"bias": None, "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    x, w = t(1, 2, 5, 5), t(3, 2, 2, 2)
    good, bad = (x, w, *defaults.values()), (x, w, *{**defaults, **wrong}.values())
    for _ in range(2):
        functional.conv2d(*good)
        check_same(functional.conv2d, F.conv2d, *bad)
