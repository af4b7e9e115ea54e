"""Casts tensors as autocast does. Layer: core, below functional.

torch's autocast casts a weight once in a block, and keeps the result until the outermost block
ends. fastconv._torch uses the same cache; without it every call casts.
"""

import torch
from torch import Tensor

from fastconv.core.extension import torch_library

_PLAIN_TYPES = (Tensor, torch.nn.Parameter)


def lowered(t: Tensor, dtype: torch.dtype) -> Tensor:
    """`t` in autocast's `dtype`. Gradients flow to `t`."""
    graph = torch.compiler.is_compiling() or torch.jit.is_tracing()
    if torch_library is not None and not graph and t.is_cpu and type(t) in _PLAIN_TYPES:
        cast = torch_library.autocast_weight(t, dtype)
        # A cast that was kept while no gradients were recorded has no way back to `t`.
        if cast.requires_grad or not (t.requires_grad and torch.is_grad_enabled()):
            return cast
    return t.to(dtype)
