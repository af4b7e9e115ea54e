"""fastconv: convolution and pooling for PyTorch, faster on CPUs, as a drop-in for torch.nn."""

from importlib.metadata import PackageNotFoundError, version

from fastconv import functional
from fastconv.core import derivatives, fakes  # noqa: F401  (they register what they know)
from fastconv.core.fallbacks import fallbacks, handovers
from fastconv.explain import explain
from fastconv.flags import clear_filter_cache, flags
from fastconv.modules import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Conv2dSame,
    MaxPool2d,
    convert,
    revert,
)

try:
    __version__ = version("fastconv")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "Conv1d",
    "Conv2d",
    "Conv2dSame",
    "MaxPool2d",
    "__version__",
    "clear_filter_cache",
    "convert",
    "explain",
    "fallbacks",
    "flags",
    "functional",
    "handovers",
    "revert",
]
