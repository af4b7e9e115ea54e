"""Calls that fall back to torch, because the kernels do not support their arguments. Layer: core,
below functional.

No call falls back in silence: each goes through `to_torch`, is counted, and shows in `fallbacks()`.
Wrong arguments go the same way, so that torch raises its own exception with its own words.
"""

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

_FAMILIES = ("conv{}d", "conv_transpose{}d", "max_pool{}d", "max_pool{}d_with_indices",
             "avg_pool{}d", "lp_pool{}d", "adaptive_avg_pool{}d", "adaptive_max_pool{}d",
             "adaptive_max_pool{}d_with_indices", "max_unpool{}d")  # fmt: skip
_FRACTIONAL = ("fractional_max_pool{}d", "fractional_max_pool{}d_with_indices")
_NAMES = [name.format(n) for n in (1, 2, 3) for name in _FAMILIES]
_NAMES += [name.format(n) for n in (2, 3) for name in _FRACTIONAL] + ["pad"]
# torch's functions as they are now: a user may assign ours to torch.nn.functional later.
F = SimpleNamespace(
    **{name: getattr(torch.nn.functional, name) for name in _NAMES
       if hasattr(torch.nn.functional, name)}
)  # fmt: skip

# Reason -> what it means, for a reader of fastconv.explain. fallbacks() says it of every reason.
REASONS = {
    "dtype": "the tensors have several types, or one without kernels",
    "device": "the tensors lie on several devices, or on one without kernels",
    "cuDNN": "fastconv.flags(cuda=...) leaves such CUDA calls to torch",
    "layout": "a tensor is sparse or nested",
    "arguments": "torch may accept these arguments, the kernels do not",
    "export": "torch.onnx is tracing",
}
_counts: Counter[tuple[str, str]] = Counter()


def to_torch(function: Callable, reason: str, *args: Any, **kwargs: Any) -> Any:
    """``function(*args, **kwargs)``; counted unless it raises or is being compiled."""
    result = function(*args, **kwargs)
    if not torch.compiler.is_compiling():
        _counts[function.__name__, reason] += 1
    return result


def fallbacks(reset: bool = False) -> dict[tuple[str, str], int]:
    """How often each function fell back to torch in this process, and why: ``{(function, reason):
    calls}``.

    Args:
        reset: start counting anew.

    The reasons are "dtype" (not a floating type of 16 to 64 bits, or mixed types), "device" (the
    device has no kernels), "cuDNN" (:class:`fastconv.flags` leaves CUDA calls of this kind to
    torch), "layout" (not a strided tensor), "arguments" (torch accepts them and the
    kernels do not, for instance an input without channels), "not covered" (no kernels for this
    function), "tracing" (torch.jit.trace records a transposed or 3-D function) and "export"
    (torch.onnx is tracing). On a GPU the sum and the clamp of ``conv2d_fused`` are counted as a
    function ``end_of_fused``, and the gradient of ``max_unpool`` as ``gather``.

    Examples:
        >>> _ = fastconv.fallbacks(reset=True)
        >>> y = fastconv.functional.max_pool2d(torch.ones(1, 1, 4, 4, dtype=torch.int32), 2)
        >>> fastconv.fallbacks(reset=True)
        {('max_pool2d', 'dtype'): 1}
    """
    counts = dict(_counts)
    if reset:
        _counts.clear()
    return counts


handovers = fallbacks
"""The name that :func:`fastconv.fallbacks` had in earlier versions; the same function."""
