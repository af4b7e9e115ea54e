"""fastconv: convolution and pooling for PyTorch, faster on CPUs, as a drop-in for torch.nn."""

from importlib.metadata import PackageNotFoundError, version

from fastconv import functional, tools
from fastconv.core import (  # noqa: F401  (they register what they know)
    decompositions,
    derivatives,
    fakes,
)
from fastconv.core.fallbacks import fallbacks, handovers
from fastconv.explain import explain
from fastconv.flags import clear_filter_cache, flags
from fastconv.memory import keep_memory
from fastconv.modules import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Conv2dSame,
    MaxPool2d,
    convert,
    revert,
)
from fastconv.routing import disable, enable, enabled

try:
    __version__ = version("fastconv")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "Conv1d",
    "Conv2d",
    "Conv2dSame",
    "MaxPool2d",
    "__version__",
    "clear_filter_cache",
    "convert",
    "disable",
    "enable",
    "enabled",
    "explain",
    "fallbacks",
    "flags",
    "functional",
    "handovers",
    "keep_memory",
    "revert",
    "tools",
]
