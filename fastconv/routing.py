"""Computes torch's own convolution and pooling functions by fastconv, for code that cannot be
edited and for tools that need modules of exactly torch.nn's classes. Layer: public, over
functional.

A `TorchFunctionMode` sees the calls. While it answers a call, torch takes it off the stack, so
fastconv.functional takes its plain way.
"""

import functools
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from fastconv import functional
from fastconv.core.fallbacks import F
from fastconv.core.overrides import with_indices

_NAMES = [name for name in functional.__all__ if hasattr(F, name)]
# torch's function -> ours, which takes the same arguments.
ROUTES: dict[Callable, Callable] = {
    **{getattr(F, name): getattr(functional, name) for name in _NAMES},
    torch.max_pool1d: functional.max_pool1d,
    torch.max_pool2d: functional.max_pool2d,
    torch.max_pool3d: functional.max_pool3d,
}


for _name in _NAMES:  # functions that give indices, too, have a second name
    if hasattr(F, f"{_name}_with_indices"):
        ROUTES[getattr(F, f"{_name}_with_indices")] = with_indices(getattr(functional, _name))
ROUTES[torch.max_pool1d_with_indices] = ROUTES[F.max_pool1d_with_indices]
ROUTES[torch.adaptive_max_pool1d] = ROUTES[F.adaptive_max_pool1d_with_indices]


class _Routes(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        ours = ROUTES.get(function)
        if ours is None or any(t not in _PLAIN for t in types):  # subclasses decide themselves
            return function(*args, **(kwargs or {}))
        return ours(*args, **(kwargs or {}))


_PLAIN = frozenset({torch.Tensor, nn.Parameter})
_pop, _push = torch._C._pop_torch_function_stack, torch._C._push_on_torch_function_stack
_local = threading.local()  # `depth`: blocks that this thread is in; `mode`: that of the first


def _enter() -> None:
    _local.depth = getattr(_local, "depth", 0) + 1
    if _local.depth == 1:
        _local.mode = _Routes()
        _push(_local.mode)


def _leave() -> None:
    _local.depth -= 1
    if _local.depth > 0:
        return
    above = []  # modes that were entered since, and stay
    while (mode := _pop()) is not _local.mode:
        above.append(mode)
    for mode in reversed(above):
        _push(mode)


class enabled(ContextDecorator):
    """Inside ``with fastconv.enabled():`` torch's functions are computed by fastconv.

    A context manager and a decorator. The convolutions and pools of ``torch.nn.functional``, and
    the layers of ``torch.nn`` that call them, run :mod:`fastconv.functional`, with its gradients,
    types and fallbacks. Backward passes may run
    outside of the block. The switch holds for the thread that enters the block.

    A routed call of a tiny conv2d takes twice the time of ``fastconv.functional.conv2d`` and three
    quarters of torch's (9.6, 5.0 and 12.7 microseconds on a Zen 1). Tensor subclasses are left to
    decide for themselves.

    Examples:
        >>> x, w = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3)
        >>> with fastconv.enabled():
        ...     y = torch.nn.functional.conv2d(x, w)
        >>> y[0, 0, 0]
        tensor([9., 9.])
    """

    def __enter__(self) -> None:
        _enter()

    def __exit__(self, *exception: object) -> None:
        _leave()


def enable() -> None:
    """As :class:`fastconv.enabled`, for this thread, until :func:`fastconv.disable`.

    A second call changes nothing.

    Examples:
        >>> fastconv.enable()
        >>> y = torch.nn.functional.max_pool2d(torch.ones(1, 1, 4, 4), 2)
        >>> fastconv.disable()
    """
    if not getattr(_local, "enabled", False):
        _enter()
        _local.enabled = True


def disable() -> None:
    """Ends what :func:`fastconv.enable` began in this thread; without it nothing happens.

    Examples:
        >>> fastconv.disable()
    """
    if getattr(_local, "enabled", False):
        _leave()
        _local.enabled = False


def _forward(model: nn.Module, *args: Any, **kwargs: Any) -> Any:
    with enabled():
        return type(model).forward(model, *args, **kwargs)


def is_routed(model: nn.Module) -> bool:
    return getattr(vars(model).get("forward"), "func", None) is _forward


def route(model: nn.Module) -> nn.Module:
    """Lets every forward run of `model` be a block of `enabled`; a copied or pickled model too."""
    if not is_routed(model):
        if "forward" in vars(model):
            raise ValueError("convert(mode='functions'): the model's forward was replaced already")
        model.forward = functools.partial(_forward, model)
    return model


def unroute(model: nn.Module) -> nn.Module:
    """The inverse, for `model` and the modules in it."""
    for module in model.modules():
        if is_routed(module):
            del module.forward
    return model
