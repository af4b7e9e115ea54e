"""Switches for those who want another algorithm than the fastest. Beside modules."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastconv.extension import _C


@contextmanager
def flags(*, winograd: bool = True) -> Iterator[None]:
    """Inside ``with fastconv.flags(winograd=False):`` convolutions sum products directly.

    Winograd's way of convolving is faster for 3x3 and 5x5 filters, rounds a little more (see
    docs/kernels.md), and spreads a NaN or infinity over a tile of 4x4 (2x2) outputs. The switch
    holds for all threads of the process.
    """
    before = _C.conv2d_path_is_on("winograd")
    _C.conv2d_switch_path("winograd", winograd)
    try:
        yield
    finally:
        _C.conv2d_switch_path("winograd", before)
