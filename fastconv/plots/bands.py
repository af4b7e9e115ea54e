"""Applies a kernel to a large picture in bands of rows, and keeps only the pixels that are drawn.

Layer: between ``filters``, which computes, and the picture that is drawn.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from fastconv.plots import picture_kernels as filters
from fastconv.plots.picture_kernels import Kernel

BAND = 4_000_000  # numbers of an output that are in memory at a time: 16 MB
CALLS, SECONDS = 3, 1.0  # so many calls of a band, while all take no longer; the fastest counts

ROUNDING = 1e-4  # what it does to white
Rows = Callable[[int, int], Tensor]  # (start, end) -> uint8 (C, end - start, IW)


@dataclass(frozen=True)
class View:
    """A picture as it is drawn.

    Shapes:
        shape: (C, H, W), of the whole
        pixels: (c, h, w), float32: the whole; or, where that has more pixels than are drawn, the
            means of squares of it (of a picture) or a pixel of each square (of other numbers,
            c = 1: the mean over the channels)

    Attributes:
        cut: the part of all numbers of a picture that lies outside 0 .. 1, beyond rounding.
    """

    shape: tuple[int, int, int]
    pixels: Tensor
    cut: float = 0.0


def view(rows: Rows, shape: tuple[int, int, int], longest: int) -> View:
    """The picture (C, H, W) of ``rows``, drawn ``longest`` pixels wide or high at most."""
    side = _side(shape, longest)
    bands = (rows(start, end) for start, end in _bands(shape, side))
    return View(shape, torch.cat([_means(_float(band), side) for band in bands], 1))


def apply(
    rows: Rows,
    shape: tuple[int, int, int],
    kernel: Kernel,
    longest: int,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> tuple[View, float]:
    """What ``filters.apply`` makes of the picture (C, IH, IW) of ``rows``, and its seconds.

    Raises:
        FilterError: as ``filters.apply``.
    """
    C, IH, IW = shape
    OH, OW = filters.output_size(IH, IW, kernel, stride, padding, dilation)
    side = _side((C, OH, OW), longest)
    reach = dilation * (kernel.weight.shape[1] - 1) + 1  # rows of input for one of output
    parts, cut, seconds = [], 0, 0.0
    for start, end in _bands((C, OH, OW), side, reach // stride):
        band = _padded(rows, IH, start * stride - padding, (end - 1) * stride - padding + reach)
        limit = SECONDS * (end - start) / OH
        output, fastest = _timed(band, kernel, stride, padding, dilation, limit)
        seconds += fastest
        if kernel.is_picture:
            cut += ((output < -ROUNDING) | (output > 1 + ROUNDING)).sum().item()
            parts.append(_means(output, side))
        else:  # not means: thin lines of opposite sign would cancel
            parts.append(output.mean(0, keepdim=True)[:, ::side, ::side].clone())
    return View((C, OH, OW), torch.cat(parts, 1), cut / (C * OH * OW)), seconds


def _side(shape: tuple[int, int, int], longest: int) -> int:
    """Of the squares that become one pixel: 1 unless there are twice as many as are drawn."""
    return max(1, max(shape[1:]) // longest)


def _bands(shape: tuple[int, int, int], side: int, least: int = 1) -> Iterator[tuple[int, int]]:
    """The first row and the one after the last of each band, which are whole squares high."""
    C, H, W = shape
    height = max(1, least // side, BAND // (C * W * side)) * side
    for start in range(0, H, height):
        yield start, min(start + height, H)


def _padded(rows: Rows, IH: int, top: int, bottom: int) -> Tensor:
    """Rows ``top`` to ``bottom`` of the picture with zeros above and below: 0 .. 1."""
    first, last = (min(max(row, 0), IH) for row in (top, bottom))
    above = min(max(-top, 0), bottom - top)
    below = bottom - top - above - (last - first)
    return F.pad(_float(rows(first, last)), (0, 0, above, below))


def _float(pixels: Tensor) -> Tensor:
    return pixels.float().div_(255)


def _means(pixels: Tensor, side: int) -> Tensor:
    """Of squares of ``side`` pixels; those at the right and lower edge may be smaller."""
    if side == 1:
        return pixels
    return F.avg_pool2d(pixels, side, ceil_mode=True, count_include_pad=False)


def _timed(
    band: Tensor, kernel: Kernel, stride: int, padding: int, dilation: int, limit: float
) -> tuple[Tensor, float]:
    """The output and the seconds of the fastest call."""
    times: list[float] = []
    while len(times) < CALLS and sum(times) < limit:
        start = time.perf_counter()
        output = filters.convolve(band, kernel, stride, (0, padding), dilation)
        times.append(time.perf_counter() - start)
    return output, min(times)
