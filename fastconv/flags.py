"""Switches for users who want other algorithms or less memory. Layer: public, over core."""

import threading
from collections.abc import Iterable
from contextlib import ContextDecorator

from fastconv.core import cuda as _cuda
from fastconv.core.extension import _C

# What the blocks that have not ended ask for, oldest first: {switch: on}. A switch is the name of a
# path, the filter cache, or who computes CUDA calls.
_CACHE, _CUDA = "filter cache", "cuda"
_asked: list[dict[str, bool | str]] = []
_lock = threading.Lock()


def _apply() -> None:
    """Sets every switch as the newest block asks that names it."""
    switches = {name: on for block in _asked for name, on in block.items()}
    keep = switches.pop(_CACHE, True)
    _cuda.mode = switches.pop(_CUDA, "auto")
    _C.conv2d_disable_paths({name for name, on in switches.items() if not on})
    if keep != (_C.filter_cache_bound() > 0):
        _C.filter_cache_set_bound(_C.FILTER_CACHE_BOUND if keep else 0)


class flags(ContextDecorator):
    """Inside ``with fastconv.flags(winograd=False):`` convolutions sum products directly.

    A context manager and a decorator. What is not named stays as it is, and the end of a block
    undoes what the block asked for and nothing else: blocks may be nested, and blocks of several
    threads may overlap. Switches hold for all threads of the process.

    Args:
        winograd: False is short for ``disabled_paths={"winograd", "dilated-winograd"}``, True
            allows these paths again inside a block that disabled them. Winograd's way of convolving
            is faster for 3x3 and 5x5 filters and rounds a little more; its error is relative to the
            largest value of a tile of 6x6 pixels (docs/kernels/winograd.md).
        filter_cache: False keeps no transformed filters between calls without gradients, and gives
            those that were kept back. Results do not depend on it.
        cuda: who computes convolutions and pools of CUDA tensors, where fastconv's CUDA kernels are
            built (docs/cuda.md). "auto", the default: fastconv for depthwise layers, pools, few
            pixels, at most 4 input channels, deterministic training, and 2^31 elements and more;
            torch, counted by :func:`fastconv.fallbacks` as "cuDNN", for other dense convolutions.
            "fastconv": always fastconv. "torch": always torch.
        disabled_paths: names of paths, as :func:`fastconv.explain` has them, that are not to be
            chosen. The last path, "reference", cannot be disabled.

    Raises:
        ValueError: no path of that name can be disabled, or ``cuda`` is none of the three; raised
            where the block begins.
        TypeError: ``disabled_paths`` is a str.

    Examples:
        >>> x, w = torch.ones(1, 64, 28, 28), torch.ones(64, 64, 3, 3)
        >>> with fastconv.flags(winograd=False):
        ...     fastconv.explain(x, w)["forward"].split(",")[0] != "winograd"
        True
    """

    def __init__(
        self,
        *,
        winograd: bool | None = None,
        filter_cache: bool | None = None,
        cuda: str | None = None,
        disabled_paths: Iterable[str] = (),
    ) -> None:
        if isinstance(disabled_paths, str):
            raise TypeError("disabled_paths must be a collection of names, not a str")
        if cuda not in (None, *_cuda.MODES):
            raise ValueError(f"cuda must be one of {', '.join(_cuda.MODES)}, not {cuda!r}")
        asked = {"winograd": winograd, "dilated-winograd": winograd, _CACHE: filter_cache}
        self._asked = {name: bool(on) for name, on in asked.items() if on is not None}
        self._asked |= dict.fromkeys(disabled_paths, False)
        if cuda is not None:
            self._asked[_CUDA] = cuda
        self._open: list[dict[str, bool | str]] = []  # as a decorator, one for each call under way

    def __enter__(self) -> None:
        block = dict(self._asked)
        with _lock:
            _asked.append(block)
            try:
                _apply()
            except ValueError:
                _asked.pop()
                raise
        self._open.append(block)

    def __exit__(self, *exception: object) -> None:
        block = self._open.pop()
        with _lock:
            del _asked[next(i for i, other in enumerate(_asked) if other is block)]
            _apply()


def clear_filter_cache() -> None:
    """Gives back the transformed filters of earlier calls without gradients, of all threads.

    They take at most 256 MiB, the least recently used are dropped first, and a weight that changes
    is transformed anew, so this only frees memory.

    Examples:
        >>> fastconv.clear_filter_cache()
    """
    _C.filter_cache_clear()
