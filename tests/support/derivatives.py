"""Named arguments, and a small network, of which tests take derivatives.

Where results must equal torch's, tensors hold small whole numbers in float64 and windows have
2 x 2 elements: every sum is exact.
"""

from collections.abc import Callable

import torch
from tensors import distinct, whole
from torch import Tensor

# name: (input, weight, arguments)
CONVS = {
    "plain": ((2, 2, 4, 3), (3, 2, 2, 2), {}),
    "3x3_padded": ((1, 2, 3, 4), (2, 2, 3, 3), {"padding": 1}),
    "strided_padded": ((1, 2, 5, 4), (2, 2, 3, 2), {"stride": 2, "padding": (1, 0)}),
    "stride_skips_rows": ((1, 1, 6, 5), (2, 1, 2, 2), {"stride": 3}),
    "dilated": ((1, 2, 5, 4), (2, 2, 2, 2), {"dilation": (3, 2), "padding": 1}),
    "groups": ((2, 4, 3, 3), (4, 2, 2, 2), {"groups": 2}),
    "depthwise_strided": ((1, 3, 4, 4), (3, 1, 2, 2), {"groups": 3, "stride": 2, "padding": 1}),
    "same_even": ((1, 2, 3, 3), (2, 2, 2, 2), {"padding": "same"}),
    "pointwise": ((2, 3, 2, 2), (2, 3, 1, 1), {}),
    "unbatched": ((2, 4, 3), (3, 2, 2, 2), {"padding": 1}),
}
# name: (pool, input, arguments)
POOLS = {
    "max": ("max_pool2d", (2, 2, 4, 4), (2,)),
    "max_overlapping_padded": ("max_pool2d", (1, 2, 5, 4), (3, 2, 1)),
    "max_dilated_ceil": ("max_pool2d", (1, 2, 5, 6), (2, 2, 1, 2, True)),
    "max_unbatched": ("max_pool2d", (2, 4, 4), (2,)),
    "avg": ("avg_pool2d", (2, 2, 4, 4), (2,)),
    "avg_ceil_exclude": ("avg_pool2d", (1, 2, 5, 4), (3, 2, 1, True, False)),
    "avg_divisor": ("avg_pool2d", (1, 2, 4, 4), ((2, 3), 1, 0, False, True, -5)),
    "avg_unbatched": ("avg_pool2d", (2, 4, 4), (2,)),
    "adaptive": ("adaptive_avg_pool2d", (2, 2, 5, 4), ((3, 2),)),
    "adaptive_larger": ("adaptive_avg_pool2d", (1, 2, 3, 2), (5,)),
    "adaptive_global": ("adaptive_avg_pool2d", (2, 3, 4, 3), (1,)),
}


def conv_inputs(name: str, memory_format=torch.contiguous_format) -> tuple[Tensor, ...]:
    x_size, w_size, _ = CONVS[name]
    generator = torch.Generator().manual_seed(0)
    tensors = [
        torch.randn(size, generator=generator, dtype=torch.float64)
        for size in (x_size, w_size, w_size[:1])
    ]
    if len(x_size) == 4:
        tensors[:2] = (t.contiguous(memory_format=memory_format) for t in tensors[:2])
    return tuple(t.requires_grad_() for t in tensors)


def network(package) -> Callable:
    """A number from an image (2, 5, 5), through all four functions and squares."""

    def run(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        y = package.conv2d(x, w, b, padding=1)  # 6 x 6
        y = package.max_pool2d(y.square(), 2, 1)  # 5 x 5
        y = package.conv2d(y, w[:2], stride=1)  # 4 x 4
        y = package.avg_pool2d(y, 2)
        return package.adaptive_avg_pool2d(y, 1).square().sum()

    return run


def network_tensors() -> tuple[Tensor, Tensor, Tensor]:
    return distinct(2, 5, 5) % 7 - 3, whole(2, 2, 2, 2, seed=1), whole(2, seed=2)
