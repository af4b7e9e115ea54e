"""fastconv: convolution and pooling for PyTorch, faster on CPUs, as a drop-in for torch.nn."""

from importlib.metadata import PackageNotFoundError, version

from fastconv import derivatives, fakes, functional  # noqa: F401  (the first two register)
from fastconv.flags import clear_filter_cache, flags
from fastconv.handover import handovers
from fastconv.info import explain
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
    "flags",
    "functional",
    "handovers",
    "revert",
]
