"""What fastconv has no kernels for: torch's own functions, counted as "not covered" in
`fastconv.fallbacks()`. Layer: functional.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from fastconv.core.fallbacks import F, to_torch


def _left_to_torch(torchs: Callable) -> Callable:
    @wraps(torchs)
    def function(*args: Any, **kwargs: Any) -> Any:
        return to_torch(torchs, "not covered", *args, **kwargs)

    function.__module__ = __name__
    return function


adaptive_max_pool3d = _left_to_torch(F.adaptive_max_pool3d)
conv_transpose3d = _left_to_torch(F.conv_transpose3d)
fractional_max_pool2d = _left_to_torch(F.fractional_max_pool2d)
fractional_max_pool3d = _left_to_torch(F.fractional_max_pool3d)
max_unpool1d = _left_to_torch(F.max_unpool1d)
max_unpool2d = _left_to_torch(F.max_unpool2d)
max_unpool3d = _left_to_torch(F.max_unpool3d)
