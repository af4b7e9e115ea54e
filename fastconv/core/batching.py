"""vmap over a batch of B: B calls as one, with B folded into N or into the channels. Layer:
autograd, below the Functions.
"""

from torch import Tensor


def batched(t: Tensor, dim: int | None, batch: int) -> Tensor:
    return t.expand(batch, *t.shape) if dim is None else t.movedim(dim, 0)


def fold_channels(t: Tensor) -> Tensor:
    """(B, N, C, H, W) -> (N, B*C, H, W): B convolutions are B times as many groups."""
    return t.movedim(0, 1).flatten(1, 2)


def unfold_channels(t: Tensor, batch: int) -> Tensor:
    return t.unflatten(1, (batch, t.shape[1] // batch)).movedim(1, 0)


def more_groups(args: tuple, batch: int) -> tuple:
    stride, padding, dilation, groups = args
    return stride, padding, dilation, groups * batch


def times(size: tuple, dim: int, batch: int) -> tuple:
    return (*size[:dim], size[dim] * batch, *size[dim + 1 :])
