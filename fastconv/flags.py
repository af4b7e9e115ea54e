"""Switches for those who want other algorithms or less memory. Beside modules."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastconv.extension import _C


@contextmanager
def flags(*, winograd: bool | None = None, filter_cache: bool | None = None) -> Iterator[None]:
    """Inside ``with fastconv.flags(winograd=False):`` convolutions sum products directly.

    Winograd's way of convolving is faster for 3x3 and 5x5 filters, rounds a little more (see
    docs/kernels.md), and spreads a NaN or infinity over a tile of 4x4 (2x2) outputs.

    With ``filter_cache=False`` no transformed filters are kept between calls without gradients, and
    those that were are given back. Results do not depend on it.

    What is not named stays as it is. Switches hold for all threads of the process.
    """
    before, bound = _C.conv2d_path_is_on("winograd"), _C.filter_cache_bound()
    if winograd is not None:
        _C.conv2d_switch_path("winograd", winograd)
    if filter_cache is not None:
        _C.filter_cache_set_bound(bound or _C.FILTER_CACHE_BOUND if filter_cache else 0)
    try:
        yield
    finally:
        if winograd is not None:
            _C.conv2d_switch_path("winograd", before)
        if filter_cache is not None:
            _C.filter_cache_set_bound(bound)


def clear_filter_cache() -> None:
    """Gives back the transformed filters of earlier calls without gradients, of all threads.

    They take at most 256 MiB, the least recently used are dropped first, and a weight that changes
    is transformed anew, so this only frees memory.
    """
    _C.filter_cache_clear()
