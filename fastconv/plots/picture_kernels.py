"""Hand-made kernels and what they do to a picture: y[c] = weight * x[c] for every channel c.

Layer: a user of functional.conv2d.
"""

import ast
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fastconv import functional

MAX_SIZE = 1024  # rows or columns of a kernel
MAX_OUTPUT = 100_000_000  # pixels; beyond that it is a mistake in the padding


class FilterError(ValueError):
    """A kernel or its arguments cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class Kernel:
    """A kernel for pictures.

    Shapes:
        weight: (K, KH, KW), float32. K is 1; or 2, then the output is the magnitude of the two
            results, sqrt(y1^2 + y2^2).
    """

    name: str
    weight: Tensor

    @property
    def is_picture(self) -> bool:
        """Whether the output is a picture again: flat areas keep their value (the sum is 1)."""
        return len(self.weight) == 1 and math.isclose(self.weight.sum().item(), 1, abs_tol=1e-4)


NAMED = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
    "outline": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "laplacian": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "edge-vertical": [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    "edge-horizontal": [[-1, -1, -1], [0, 0, 0], [1, 1, 1]],
    "sobel-x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "sobel-y": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
}
MAGNITUDES = {"sobel": ("sobel-x", "sobel-y")}
SIZED_DEFAULTS = {"blur": "box-3", "gaussian": "gaussian-5", "motion": "motion-9"}


def _box(size: int) -> Tensor:
    """The mean over size x size pixels."""
    return torch.full((size, size), 1 / size**2)


def _gaussian(size: int) -> Tensor:
    """exp(-r^2 / (2 sigma^2)) with sigma = size / 6, scaled to the sum 1."""
    at = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    line = torch.exp(-0.5 * (at * 6 / size) ** 2)
    weight = torch.outer(line, line)
    return (weight / weight.sum()).float()


def _motion(size: int) -> Tensor:
    """The mean along the falling diagonal."""
    return torch.eye(size) / size


SIZED: dict[str, Callable[[int], Tensor]] = {"box": _box, "gaussian": _gaussian, "motion": _motion}
NAMES = (*SIZED_DEFAULTS, *NAMED, *MAGNITUDES)


def parse(text: str) -> Kernel:
    """The kernel that ``text`` means.

    Args:
        text: one of ``NAMES``; "box-N", "gaussian-N" or "motion-N" for N x N; or a 2-D array of
            numbers such as "[[0, 1, 0], [1, -4, 1], [0, 1, 0]]".

    Raises:
        FilterError: no such kernel, or not a rectangle of finite numbers.
    """
    text = text.strip()
    if text.startswith(("[", "(")):
        return Kernel("your kernel", _parse_array(text).unsqueeze(0))
    if text in NAMED:
        return Kernel(text, torch.tensor([NAMED[text]], dtype=torch.float32))
    if text in MAGNITUDES:
        return Kernel(text, torch.cat([parse(part).weight for part in MAGNITUDES[text]]))
    sized = re.fullmatch(rf"({'|'.join(SIZED)})-(\d{{1,9}})", SIZED_DEFAULTS.get(text, text))
    if sized is None:
        raise FilterError(
            f"no kernel {text!r}: choose from {', '.join(NAMES)}, a size such as "
            f"{', '.join(f'{name}-51' for name in SIZED)}, or write an array such as "
            "'[[0,1,0],[1,-4,1],[0,1,0]]'"
        )
    size = int(sized[2])
    if not 1 <= size <= MAX_SIZE:
        raise FilterError(f"the kernel {text} has the size {size}: it must be 1 to {MAX_SIZE}")
    return Kernel(text, SIZED[sized[1]](size).unsqueeze(0))


def _parse_array(text: str) -> Tensor:
    """(KH, KW), float32."""
    try:
        rows = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise FilterError(
            "the kernel is not an array of numbers that can be read: write rows in brackets, such "
            "as '[[0,1,0],[1,-4,1],[0,1,0]]'"
        ) from error
    lists = (list, tuple)
    if not (isinstance(rows, lists) and rows and all(isinstance(r, lists) and r for r in rows)):
        raise FilterError("the kernel is not a 2-D array: write rows in brackets, such as [[1,2]]")
    widths = sorted({len(row) for row in rows})
    if len(widths) > 1:
        raise FilterError(
            f"the rows of the kernel have {widths[0]} to {widths[-1]} numbers: all need the same"
        )
    if max(len(rows), widths[0]) > MAX_SIZE:
        raise FilterError(
            f"the kernel has {len(rows)} x {widths[0]} numbers: at most {MAX_SIZE} x {MAX_SIZE}"
        )
    for value in (value for row in rows for value in row):
        if type(value) not in (int, float):
            raise FilterError(f"the kernel holds {value!r:.40}, which is not a number")
        if not abs(value) <= torch.finfo(torch.float32).max:
            raise FilterError(f"the kernel holds {value!s:.40}, which is no finite float32")
    return torch.tensor(rows, dtype=torch.float32)


def apply(
    image: Tensor, kernel: Kernel, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Tensor:
    """Every channel of ``image`` under ``kernel``, by :func:`fastconv.functional.conv2d`.

    Shapes:
        image: (C, IH, IW), float32
        output: (C, OH, OW), OH = (IH + 2*padding - dilation*(KH - 1) - 1) // stride + 1

    Raises:
        FilterError: an argument out of range, a kernel larger than the padded image, or an output
            of more than ``MAX_OUTPUT`` pixels.
    """
    output_size(*image.shape[1:], kernel, stride, padding, dilation)
    return convolve(image, kernel, stride, (padding, padding), dilation)


def convolve(
    image: Tensor, kernel: Kernel, stride: int, padding: tuple[int, int], dilation: int
) -> Tensor:
    """``apply`` without its checks, and ``padding`` by rows and by columns."""
    C = len(image)
    weight = kernel.weight.repeat(C, 1, 1).unsqueeze(1)  # (C * K, 1, KH, KW)
    y = functional.conv2d(
        image.unsqueeze(0), weight, stride=stride, padding=padding, dilation=dilation, groups=C
    )[0]
    return y if len(kernel.weight) == 1 else torch.hypot(y[0::2], y[1::2])


def output_size(
    IH: int, IW: int, kernel: Kernel, stride: int, padding: int, dilation: int
) -> tuple[int, int]:
    """(OH, OW) of ``apply``.

    Raises:
        FilterError: as ``apply``.
    """
    for name, value, least in (("stride", stride, 1), ("padding", padding, 0),
                               ("dilation", dilation, 1)):  # fmt: skip
        if value < least:
            raise FilterError(f"{name} is {value}: it must be at least {least}")
    _, KH, KW = kernel.weight.shape
    height, width = IH + 2 * padding, IW + 2 * padding
    reach_h, reach_w = dilation * (KH - 1) + 1, dilation * (KW - 1) + 1
    if reach_h > height or reach_w > width:
        dilated = f" with dilation {dilation}" if dilation > 1 else ""
        raise FilterError(
            f"the kernel covers {reach_h} x {reach_w} pixels{dilated}, more than the {height} x "
            f"{width} of the image with padding {padding}: use a smaller kernel or more padding"
        )
    OH, OW = (height - reach_h) // stride + 1, (width - reach_w) // stride + 1
    if OH * OW > MAX_OUTPUT:
        raise FilterError(
            f"the output would have {OH * OW:,} pixels, more than {MAX_OUTPUT:,}: use less padding"
        )
    return OH, OW
