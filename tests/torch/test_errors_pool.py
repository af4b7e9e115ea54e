"""Wrong calls of the pools: the class and the very words of torch's own exception."""

import numpy as np
import pytest
import torch
from wrong_calls import X, check_same, t

from fastconv import functional

F = torch.nn.functional

# name: six arguments of max_pool2d
MAX_POOL2D = {
    "input_2d": (t(8, 8), 2, None, 0, 1, False),
    "input_5d": (t(1, 2, 4, 8, 8), 2, None, 0, 1, False),
    "input_none": (None, 2, None, 0, 1, False),
    "input_numpy": (X.numpy(), 2, None, 0, 1, False),
    "bool": (X.bool(), 2, None, 0, 1, False),
    "complex": (X.cfloat(), 2, None, 0, 1, False),
    "no_channels": (t(2, 0, 8, 8), 2, None, 0, 1, False),
    "no_rows": (t(2, 4, 0, 8), 2, None, 0, 1, False),
    "no_rows_unbatched": (t(4, 0, 8), 2, None, 0, 1, False),
    "kernel_zero": (X, 0, None, 0, 1, False),
    "kernel_zero_strided": (X, 0, 1, 0, 1, False),
    "kernel_negative": (X, -1, None, 0, 1, False),
    "kernel_negative_strided": (X, -1, 1, 0, 1, False),
    "kernel_three": (X, (2, 2, 2), None, 0, 1, False),
    "kernel_empty": (X, (), None, 0, 1, False),
    "kernel_float": (X, 2.0, None, 0, 1, False),
    "kernel_float_pair": (X, (2.0, 2.0), None, 0, 1, False),
    "kernel_bool": (X, True, None, 0, 1, False),
    "kernel_none": (X, None, None, 0, 1, False),
    "kernel_beyond_image": (t(2, 4, 2, 2), 3, None, 0, 1, False),
    "kernel_beyond_image_ceil": (t(2, 4, 2, 2), 5, 1, 0, 1, True),
    "kernel_dilated_beyond_image": (t(2, 4, 8, 8), 3, 1, 0, 4, False),
    "stride_zero": (X, 2, 0, 0, 1, False),
    "stride_negative": (X, 2, -1, 0, 1, False),
    "stride_three": (X, 2, (1, 1, 1), 0, 1, False),
    "stride_float": (X, 2, 1.0, 0, 1, False),
    "padding_negative": (X, 2, None, -1, 1, False),
    "padding_beyond_half": (X, 2, None, 2, 1, False),
    "padding_beyond_half_one_axis": (X, (3, 2), None, (1, 2), 1, False),
    "padding_three": (X, 2, None, (0, 0, 0), 1, False),
    "padding_float": (X, 2, None, 0.0, 1, False),
    "dilation_zero": (X, 2, None, 0, 0, False),
    "dilation_negative": (X, 2, None, 0, -1, False),
    "dilation_three": (X, 2, None, 0, (1, 1, 1), False),
    "ceil_mode_int": (X, 2, None, 0, 1, 1),
    "ceil_mode_none": (X, 2, None, 0, 1, None),
}
# name: all seven arguments of avg_pool2d
AVG_POOL2D = {
    "input_2d": (t(8, 8), 2, None, 0, False, True, None),
    "input_5d": (t(1, 2, 4, 8, 8), 2, None, 0, False, True, None),
    "input_none": (None, 2, None, 0, False, True, None),
    "bool": (X.bool(), 2, None, 0, False, True, None),
    "int32": (X.int(), 2, None, 0, False, True, None),
    "complex": (X.cfloat(), 2, None, 0, False, True, None),
    "no_rows": (t(2, 4, 0, 8), 2, None, 0, False, True, None),
    "no_channels": (t(2, 0, 8, 8), 2, None, 0, False, True, None),
    "kernel_zero": (X, 0, None, 0, False, True, None),
    "kernel_negative": (X, -1, 1, 0, False, True, None),
    "kernel_three": (X, (2, 2, 2), None, 0, False, True, None),
    "kernel_float": (X, 2.0, None, 0, False, True, None),
    "kernel_beyond_image": (t(2, 4, 2, 2), 3, None, 0, False, True, None),
    "stride_zero": (X, 2, 0, 0, False, True, None),
    "stride_negative": (X, 2, -2, 0, False, True, None),
    "stride_three": (X, 2, (1, 1, 1), 0, False, True, None),
    "padding_negative": (X, 2, None, -1, False, True, None),
    "padding_beyond_half": (X, 3, None, 2, False, True, None),
    "padding_three": (X, 2, None, (1, 1, 1), False, True, None),
    "ceil_mode_int": (X, 2, None, 0, 1, True, None),
    "count_include_pad_int": (X, 2, None, 0, False, 1, None),
    "divisor_zero": (X, 2, None, 0, False, True, 0),
    "divisor_float": (X, 2, None, 0, False, True, 2.0),
    "divisor_bool": (X, 2, None, 0, False, True, True),
}
ADAPTIVE_AVG_POOL2D = {
    "input_2d": (t(8, 8), 2),
    "input_2d_pair": (t(8, 8), (2, 2)),
    "input_5d": (t(1, 2, 4, 8, 8), 2),
    "input_none": (None, 2),
    "int64": (X.long(), 2),
    "bool": (X.bool(), 2),
    "complex": (X.cfloat(), 2),
    "no_rows": (t(2, 4, 0, 8), 2),
    "output_three": (X, (1, 1, 1)),
    "output_empty": (X, ()),
    "output_negative": (X, -1),
    "output_negative_pair": (X, (-1, -1)),
    "output_one_negative": (X, (2, -1)),
    "output_float": (X, 2.0),
    "output_float_pair": (X, (2.0, 2)),
    "output_none": (X, None),
    "output_string": (X, "2"),
    "output_1_tuple_of_none": (X, (None,)),
    "output_1_tuple": (X, (2,)),
    "output_1_list": (X, [2]),
    "output_numpy": (X, np.int64(2)),
    "output_numpy_array": (X, np.array(2)),
    "output_tensor": (X, torch.tensor(2)),
    "output_beyond_memory": (X, 2**31 - 1),
}


@pytest.mark.parametrize("return_indices", [False, True])
@pytest.mark.parametrize("name", MAX_POOL2D)
def test_max_pool2d(name: str, return_indices: bool):
    args = (*MAX_POOL2D[name], return_indices)
    check_same(functional.max_pool2d, F.max_pool2d, *args)


@pytest.mark.parametrize("name", AVG_POOL2D)
def test_avg_pool2d(name: str):
    check_same(functional.avg_pool2d, F.avg_pool2d, *AVG_POOL2D[name])


@pytest.mark.parametrize("name", ADAPTIVE_AVG_POOL2D)
def test_adaptive_avg_pool2d(name: str):
    check_same(functional.adaptive_avg_pool2d, F.adaptive_avg_pool2d, *ADAPTIVE_AVG_POOL2D[name])


@pytest.mark.parametrize(
    ("function", "good", "wrong"),
    [
        ("max_pool2d", ((2, 2), (1, 1)), ((2.0, 2.0), (1, 1))),
        ("max_pool2d", ((2, 2), (1, 1)), ((2, 2), (True, True))),
        ("max_pool2d", (2, 1, 0, 1, True), (2, 1, 0, 1, 1)),
        ("avg_pool2d", ((2, 2), (1, 1)), ((2, 2), (1.0, 1))),
        ("avg_pool2d", (2, 1, 0, False, True, 1), (2, 1, 0, False, True, 1.0)),
        ("adaptive_avg_pool2d", ((2, 1),), ((2.0, 1),)),
    ],
)
def test_pools_wrong_then_good_then_wrong(function: str, good: tuple, wrong: tuple):
    ours, torchs = getattr(functional, function), getattr(F, function)
    x = t(1, 2, 5, 5)
    for _ in range(2):
        ours(x, *good)
        check_same(ours, torchs, x, *wrong)
