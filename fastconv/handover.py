"""Work that fastconv gives to torch: arguments that its kernels do not take. Layer: functional.

Nothing is given away silently: each hand-over goes through `to_torch`, is counted, and shows in
`handovers()`. Arguments that are simply wrong go the same way, so that torch raises its own
exception with its own words.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

_counts: Counter[tuple[str, str]] = Counter()


def to_torch(function: Callable, reason: str, *args: Any, **kwargs: Any) -> Any:
    """``function(*args, **kwargs)``; counted unless it raises or is being compiled."""
    result = function(*args, **kwargs)
    if not torch.compiler.is_compiling():
        _counts[function.__name__, reason] += 1
    return result


def handovers(reset: bool = False) -> dict[tuple[str, str], int]:
    """How often each function was left to torch in this process, and why: ``{(function, reason):
    calls}``.

    Reasons: "dtype" (not a floating type of 16 to 64 bits, or mixed types), "device" (not the CPU),
    "layout" (not a strided tensor) and "arguments" (accepted by torch, not by fastconv: an input
    without channels, say).
    """
    counts = dict(_counts)
    if reset:
        _counts.clear()
    return counts
