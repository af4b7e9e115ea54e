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
from fastconv.functional import unpool

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


# ---- torch.ops.aten, which exported programs call ------------------------------------------------

_PLAIN = frozenset({torch.Tensor, nn.Parameter})


def _argument(value: Any) -> Any:
    """A list as a tuple, or as None if empty: aten's way to say the window's extents."""
    return (tuple(value) or None) if isinstance(value, list) else value


def _route_aten(name: str, ours: Callable) -> None:
    """Routes an operator, whose arguments are those of `ours`, and its overloads.

    They are called with tensors of any kind where torch traces programs, so only calls with plain
    tensors are taken.
    """
    packet = getattr(torch.ops.aten, name)
    overloads = [o for o in packet.overloads() if "out" not in o and not o.startswith("names")]
    for torchs in (packet, *(getattr(packet, overload) for overload in overloads)):

        @functools.wraps(ours)
        def function(input: torch.Tensor, *args: Any, torchs: Callable = torchs, **kwargs: Any):
            if type(input) not in _PLAIN:
                return torchs(input, *args, **kwargs)
            return ours(input, *map(_argument, args), **kwargs)

        ROUTES[torchs] = function


def _convolution(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: tuple,
    padding: tuple,
    dilation: tuple,
    transposed: bool,
    output_padding: tuple,
    groups: int,
) -> torch.Tensor:
    """torch.ops.aten.convolution."""
    dims = weight.dim() - 2
    if transposed:
        ours = getattr(functional, f"conv_transpose{dims}d")
        return ours(input, weight, bias, stride, padding, output_padding, groups, dilation)
    ours = getattr(functional, f"conv{dims}d")
    return ours(input, weight, bias, stride, padding, dilation, groups)


for _dims in (1, 2, 3):
    for _name in ("conv{}d", "conv_transpose{}d", "avg_pool{}d", "adaptive_avg_pool{}d"):
        _route_aten(_name.format(_dims), getattr(functional, _name.format(_dims)))
    _max = getattr(functional, f"max_pool{_dims}d")
    _route_aten(f"max_pool{_dims}d", _max)
    _route_aten(f"max_pool{_dims}d_with_indices", with_indices(_max))
    _adaptive = getattr(functional, f"adaptive_max_pool{_dims}d")
    _route_aten(f"adaptive_max_pool{_dims}d", with_indices(_adaptive))
for _dims in (2, 3):
    _route_aten(f"_adaptive_avg_pool{_dims}d", getattr(functional, f"adaptive_avg_pool{_dims}d"))
_route_aten("convolution", _convolution)


def _max_unpool2d(input: torch.Tensor, indices: torch.Tensor, output_size: tuple) -> torch.Tensor:
    """torch.ops.aten.max_unpool2d."""
    torchs = torch.ops.aten.max_unpool2d
    return unpool.to_size(torchs, input, indices, output_size, output_size, dims=2)


def _max_unpool3d(
    input: torch.Tensor, indices: torch.Tensor, output_size: tuple, stride: tuple, padding: tuple
) -> torch.Tensor:
    """torch.ops.aten.max_unpool3d, which looks at nothing but the sign of the strides."""
    torchs, rest = torch.ops.aten.max_unpool3d, (output_size, stride, padding)
    taken = output_size if min(stride, default=0) > 0 and len(padding) == 3 else None
    return unpool.to_size(torchs, input, indices, taken, *rest, dims=3)


_route_aten("max_unpool2d", _max_unpool2d)
_route_aten("max_unpool3d", _max_unpool3d)

# --------------------------------------------------------------------------------------------------

_only_plain = _PLAIN.issuperset


class _Routes(TorchFunctionMode):
    # Every call of torch in the block comes here, so each microsecond counts (docs/ecosystem.md).
    def __torch_function__(self, function, types, args=(), kwargs=None):
        ours = ROUTES.get(function)
        if ours is not None and _only_plain(types):  # subclasses decide themselves
            function = ours
        if kwargs:
            return function(*args, **kwargs)
        return function(*args)


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

    A context manager and a decorator. The convolutions and pools of ``torch.nn.functional``, of
    ``torch`` and of ``torch.ops.aten``, and the layers of ``torch.nn`` and the exported programs
    that call them, run :mod:`fastconv.functional`, with its gradients, types and fallbacks.
    Backward passes may run outside of the block. The switch holds for the thread that enters the
    block. Tensor subclasses are left to decide for themselves.

    A routed call of a tiny conv2d takes half of torch's time, and one of ``F.max_pool2d`` twice
    torch's, because torch itself asks for modes in Python there (docs/ecosystem.md has the cost of
    each function).

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


def _no_script(model: nn.Module) -> nn.Module:
    raise NotImplementedError(
        "torch.jit.script cannot compile a model in functions mode: script fastconv.revert(model),"
        " or use torch.jit.trace or torch.export"
    )


def is_routed(model: nn.Module) -> bool:
    return getattr(vars(model).get("forward"), "func", None) is _forward


def route(model: nn.Module) -> nn.Module:
    """Lets every forward run of `model` be a block of `enabled`; a copied or pickled model too."""
    if not is_routed(model):
        if "forward" in vars(model):
            raise ValueError("convert(mode='functions'): the model's forward was replaced already")
        model.forward = functools.partial(_forward, model)
        model.__prepare_scriptable__ = functools.partial(_no_script, model)
    return model


def unroute(model: nn.Module) -> nn.Module:
    """The inverse, for `model` and the modules in it."""
    for module in model.modules():
        if is_routed(module):
            del module.forward
            vars(module).pop("__prepare_scriptable__", None)
    return model
