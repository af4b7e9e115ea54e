"""One plain call of each function, the short way and the general, and torch's of the same."""

import torch

from fastconv import functional
from fastconv.core import eager

X, W, B = torch.randn(2, 4, 7, 6), torch.randn(6, 2, 3, 3), torch.randn(6)
CALLS = {
    "conv2d": (eager.conv2d, functional.conv2d, (X, W, B, 2, (1, 0), 1, 2)),
    "max_pool2d": (eager.max_pool2d, functional.max_pool2d, (X, 3, 2, 1, 1, True)),
    "avg_pool2d": (eager.avg_pool2d, functional.avg_pool2d, (X, 2, None, 0, False, False, 3)),
    "adaptive_avg_pool2d": (
        eager.adaptive_avg_pool2d, functional.adaptive_avg_pool2d, (X, (3, None)),
    ),
}  # fmt: skip


def torch_twin(name, args):
    return getattr(torch.nn.functional, name)(*args)
