"""Shows torch's own function to modes, tensor subclasses and other overrides of functions
(`__torch_function__`), as torch.nn does. Layer: functional.

A table keyed on F.conv2d therefore works, and so does a wrapper that knows nothing of fastconv. If
an override falls back to torch's function (by `super().__torch_function__`, or with unwrapped
tensors), the call comes back to fastconv's function. The kernels then take it, or it is left to
torch and counted.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Proxy
from torch.overrides import TorchFunctionMode, handle_torch_function

from fastconv.core.fallbacks import F

_pop, _push = torch._C._pop_torch_function_stack, torch._C._push_on_torch_function_stack
_depth = torch._C._len_torch_function_stack


class _Return(TorchFunctionMode):
    """Calls `ours` in the place of torch's function, after all overrides."""

    def __init__(self, torchs: Callable, ours: Callable) -> None:
        super().__init__()
        self.torchs, self.ours = torchs, ours

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is not self.torchs:
            return function(*args, **(kwargs or {}))
        if any(t is not torch.Tensor for t in types):  # it is their turn
            return NotImplemented
        return self.ours(*args, **(kwargs or {}))


def overridden(ours: Callable, tensors: tuple, *args: Any, **kwargs: Any) -> Any:
    """Hands a call of `ours` to the overrides of torch's function of the same name, and returns
    their result. `tensors` are the arguments among `args` that may override.

    torch.fx, whose proxies stand for tensors, and torch.compile record `ours`: what they record
    runs later, when nobody would bring torch's function back.
    """
    if torch.compiler.is_compiling() or any(isinstance(t, Proxy) for t in tensors):
        return handle_torch_function(ours, tensors, *args, **kwargs)
    torchs = getattr(F, ours.__name__)
    with _Beneath(_Return(torchs, ours)):
        return torchs(*args, **kwargs)


def with_indices(pool: Callable) -> Callable:
    """A max pool that always returns indices, for which torch has a second name. The module of
    `pool` must hold it under that name, because torch.fx looks for it there."""

    def function(*args: Any, **kwargs: Any) -> Any:
        return pool(*args, **{**kwargs, "return_indices": True})

    function.__name__ = function.__qualname__ = f"{pool.__name__}_with_indices"
    function.__module__ = pool.__module__
    return function


class _Beneath:
    """A mode put below all others, which come first."""

    def __init__(self, mode: TorchFunctionMode) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        above = [_pop() for _ in range(_depth())]
        for mode in (self.mode, *reversed(above)):
            _push(mode)

    def __exit__(self, *_: object) -> None:
        above = [_pop() for _ in range(_depth())]
        for mode in reversed(above[:-1]):
            _push(mode)
