"""Functions without kernels: they call torch's own, counted as "not covered" in
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
"""3-D max pooling to a given size.

:func:`torch.nn.functional.adaptive_max_pool3d`, counted.
"""
conv_transpose3d = _left_to_torch(F.conv_transpose3d)
"""3-D transposed convolution.

:func:`torch.nn.functional.conv_transpose3d`, counted.
"""
fractional_max_pool2d = _left_to_torch(F.fractional_max_pool2d)
"""2-D max pooling over windows at random places.

:func:`torch.nn.functional.fractional_max_pool2d`, counted.
"""
fractional_max_pool3d = _left_to_torch(F.fractional_max_pool3d)
"""3-D max pooling over windows at random places.

:func:`torch.nn.functional.fractional_max_pool3d`, counted.
"""
