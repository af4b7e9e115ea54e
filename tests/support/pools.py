"""Named arguments of the pools, and comparisons of their results."""

import numpy as np
import torch
from torch import Tensor

# name: (input, arguments of max_pool2d)
MAX_CASES = {
    "lenet": ((2, 6, 28, 28), {"kernel_size": 2}),
    "2x2_odd_image": ((2, 3, 7, 9), {"kernel_size": 2}),
    "2x2_odd_image_ceil": ((2, 3, 7, 9), {"kernel_size": 2, "ceil_mode": True}),
    "3x3_stride_2_padded": ((2, 3, 9, 8), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "3x3_stride_2_padded_ceil": (
        (2, 3, 9, 8),
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    ),
    "overlapping": ((1, 2, 8, 8), {"kernel_size": 3, "stride": 1}),
    "stride_beyond_kernel": ((1, 2, 11, 10), {"kernel_size": 2, "stride": 3}),
    "stride_beyond_kernel_ceil": (
        (1, 2, 11, 10),
        {"kernel_size": 2, "stride": 3, "ceil_mode": True},
    ),
    "axes_differ": (
        (2, 3, 11, 9),
        {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0), "dilation": (2, 3)},
    ),
    "dilated": ((2, 3, 11, 12), {"kernel_size": 3, "dilation": 2, "stride": 1, "padding": 1}),
    "dilated_ceil": (
        (1, 2, 12, 11),
        {"kernel_size": 2, "dilation": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    ),
    "whole_image": ((2, 3, 5, 4), {"kernel_size": (5, 4)}),
    "one_pixel_windows": ((2, 3, 5, 4), {"kernel_size": 1}),
    "one_pixel_windows_strided": ((2, 3, 5, 4), {"kernel_size": 1, "stride": 2}),
    "one_pixel_image": ((2, 3, 1, 1), {"kernel_size": 1}),
    "one_wide": ((2, 1, 9, 1), {"kernel_size": (2, 1)}),
    "kernel_beyond_image_but_for_padding": ((1, 2, 3, 3), {"kernel_size": 5, "padding": 2}),
    "kernel_beyond_image_ceil": ((1, 2, 3, 4), {"kernel_size": 4, "stride": 3, "ceil_mode": True}),
    "many_channels": ((1, 37, 6, 6), {"kernel_size": 2}),
    "prime_width": ((1, 1, 5, 31), {"kernel_size": 3, "stride": 2}),
}
AVG_CASES = {name: case for name, case in MAX_CASES.items() if "dilation" not in case[1]} | {
    "ceil_padded_exclude": (
        (2, 3, 9, 8),
        {
            "kernel_size": 3,
            "stride": 2,
            "padding": 1,
            "ceil_mode": True,
            "count_include_pad": False,
        },
    ),
    "padded_exclude": (
        (2, 3, 6, 6),
        {"kernel_size": (4, 2), "padding": (2, 1), "count_include_pad": False},
    ),
    "divisor": ((2, 3, 6, 7), {"kernel_size": 3, "divisor_override": 2}),
    "divisor_negative": ((2, 3, 6, 7), {"kernel_size": 2, "divisor_override": -3}),
    "divisor_padded_ceil": (
        (2, 3, 7, 6),
        {
            "kernel_size": 3,
            "stride": 2,
            "padding": 1,
            "ceil_mode": True,
            "divisor_override": 7,
            "count_include_pad": False,
        },
    ),
}


def windows_per_pixel(kwargs: dict) -> int:
    """At most: as many as a window has elements."""
    height, width = np.broadcast_to(kwargs["kernel_size"], 2)
    return int(height * width)


def same(got: Tensor, want: Tensor) -> bool:
    """Equal bit for bit but for the kind of NaN."""
    nan = want.isnan()
    return torch.equal(got.isnan(), nan) and torch.equal(
        got.masked_fill(nan, 0), want.masked_fill(nan, 0)
    )
