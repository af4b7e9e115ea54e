"""Power-average pooling: ``y = (sum over the window of x**p) ** (1/p)``, the maximum for an
infinite p. Layer: functional, over the pools of one to three dimensions.

torch.nn.functional composes it of its own average and max pooling in the same way.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.overrides import has_torch_function

from fastconv.core.arguments import refusal
from fastconv.core.fallbacks import F, to_torch
from fastconv.core.overrides import overridden
from fastconv.functional import dim1, dim2, dim3_pool


def _elements(kernel_size: object, dimensions: int) -> int | None:
    """Of a window; None if the kernel size is not one that torch takes."""
    if type(kernel_size) is int:
        return kernel_size**dimensions
    if dimensions == 1 or not isinstance(kernel_size, (tuple, list)):
        return None
    taken = len(kernel_size) == dimensions and all(type(k) is int for k in kernel_size)
    return math.prod(kernel_size) if taken else None


def _lp_pool(pools: tuple, names: tuple, input: Tensor, *given: object) -> Tensor:
    """pools: max and average pooling; names: torch's function and ours; given: what follows input
    in their signature."""
    torchs, ours, dimensions = names
    if has_torch_function((input,)):
        return overridden(torchs, ours, (input,), input, *given)
    norm_type, kernel_size, stride, ceil_mode = given
    elements, reason = _elements(kernel_size, dimensions), refusal(input)
    if reason is not None or elements is None:
        return to_torch(torchs, reason or "arguments", input, *given)
    max_pool, avg_pool = pools
    if isinstance(norm_type, (int, float)) and math.isinf(norm_type):
        sign = 1 if norm_type > 0 else -1
        y = max_pool(sign * input.abs(), kernel_size, stride, 0, 1, ceil_mode)
        return sign * y
    y = avg_pool(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return (torch.sign(y) * torch.relu(y.abs())).mul(elements).pow(1.0 / norm_type)


def _function(dimensions: int, max_pool: Callable, avg_pool: Callable) -> Callable:
    name = f"lp_pool{dimensions}d"
    torchs = getattr(F, name, None)  # lp_pool3d is younger than the oldest torch

    def lp_pool(
        input: Tensor,
        norm_type: int | float,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] | None = None,
        ceil_mode: bool = False,
    ) -> Tensor:
        given = (norm_type, kernel_size, stride, ceil_mode)
        return _lp_pool((max_pool, avg_pool), (torchs, lp_pool, dimensions), input, *given)

    lp_pool.__name__ = lp_pool.__qualname__ = name
    lp_pool.__doc__ = f"""{dimensions}-D power-average pooling, as torch.nn.functional.{name}.

    ``y = (sum over the window of x**norm_type) ** (1 / norm_type)``, or for an infinite
    ``norm_type`` the maximum of ``|x|``.

    Shapes, types, devices and errors as in :func:`fastconv.functional.avg_pool{dimensions}d`.
    """
    return lp_pool


lp_pool1d = _function(1, dim1.max_pool1d, dim1.avg_pool1d)
lp_pool2d = _function(2, dim2.max_pool2d, dim2.avg_pool2d)
lp_pool3d = _function(3, dim3_pool.max_pool3d, dim3_pool.avg_pool3d)
