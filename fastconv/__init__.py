"""fastconv: convolution and pooling for PyTorch, faster on CPUs, as a drop-in for torch.nn."""

from importlib.metadata import PackageNotFoundError, version

from fastconv import functional, tools
from fastconv.conversion import Report, ReportRow, convert, report, revert
from fastconv.core import derivatives  # noqa: F401  (it registers them)
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
)
from fastconv.modules_conv import (
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    LazyConv1d,
    LazyConv2d,
    LazyConv3d,
    LazyConvTranspose1d,
    LazyConvTranspose2d,
)
from fastconv.modules_pool import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AvgPool1d,
    AvgPool3d,
    LPPool1d,
    LPPool2d,
    LPPool3d,
    MaxPool1d,
    MaxPool3d,
    MaxUnpool1d,
    MaxUnpool2d,
    MaxUnpool3d,
)
from fastconv.routing import disable, enable, enabled

try:
    __version__ = version("fastconv")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "Conv1d",
    "Conv2d",
    "Conv2dSame",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "Report",
    "ReportRow",
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
    "report",
    "revert",
    "tools",
]
