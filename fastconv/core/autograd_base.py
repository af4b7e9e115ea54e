"""What the Functions of autograd.py and autograd_pool.py share: when they must run, how they are
applied, forward mode. Layer: autograd, below the Functions.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

import torch
from torch._functorch.autograd_function import enable_single_level_autograd_function
from torch.autograd import forward_ad

_functorch_active = torch._C._are_functorch_transforms_active
_is_excluded = torch._C._dispatch_tls_is_dispatch_key_excluded
_FUNCTORCH = torch._C.DispatchKey.FuncTorchDynamicLayerFrontMode


def transforming() -> bool:
    """Whether forward mode or a torch.func transform is on: Functions then run in any case."""
    return forward_ad._current_level >= 0 or _functorch_active()


def differentiable_backward() -> bool:
    """Inside a backward: whether its result may be differentiated in turn (create_graph)."""
    return not torch.compiler.is_compiling() and (torch.is_grad_enabled() or transforming())


def recorded(*tensors: torch.Tensor | None) -> bool:
    """Whether a derivative of what is computed from these may be asked for."""
    if torch.is_grad_enabled():
        for t in tensors:
            if t is not None and t.requires_grad:
                return True
    return forward_ad._current_level >= 0 and torch._C._is_fwd_grad_enabled()


def direct_apply(function: type) -> Callable:
    """Function.apply without its inspection of forward's signature. The inspection finds default
    arguments, which our Functions do not have, and takes most of the time of a call.
    """
    return super(torch.autograd.Function, function).apply


class Function(torch.autograd.Function):
    """A Function that may also be applied inside an operator. torch.func has then chosen a layer
    already, so the Function records its node for this layer alone, as torch's operators do.
    """

    @classmethod
    def apply(cls, *args: Any) -> Any:
        if not _functorch_active():
            return direct_apply(cls)(*args)
        if not _is_excluded(_FUNCTORCH):
            return super().apply(*args)
        modes = torch.is_grad_enabled(), torch._C._is_fwd_grad_enabled()
        with enable_single_level_autograd_function():
            return _of_one_layer(cls, *modes).apply(*args)


@lru_cache
def _of_one_layer(function: type, grad: bool, forward_grad: bool) -> type:
    """`function` as one layer of torch.func records it. The outer layers record what its forward
    calls. They need the caller's modes, which torch would switch off inside a forward.
    """

    # torch 2.14 leaves every class derived from Function to torch.func; this base is for one layer.
    class OfOneLayer(torch.autograd.function._SingleLevelFunction):
        setup_context = staticmethod(function.setup_context)
        backward = staticmethod(function.backward)
        jvp = staticmethod(function.jvp)

        @staticmethod
        def forward(*args):
            with (
                torch._C._AutoDispatchBelowAutograd(),
                torch.set_grad_enabled(grad),
                forward_ad._set_fwd_grad_enabled(forward_grad),
            ):
                return function.forward(*args)

    return OfOneLayer


def forward_mode(jvp: Callable) -> Callable:
    """Calls jvp(ctx, saved tensors, *tangents) so that it can itself be differentiated forward.

    torch switches forward mode off inside a jvp, which would lose the tangents of outer levels.
    """

    @wraps(jvp)
    def wrapped(ctx, *tangents):
        with forward_ad._set_fwd_grad_enabled(True):
            saved = tuple(forward_ad.unpack_dual(t).primal for t in ctx.saved_tensors)
            return jvp(ctx, saved, *tangents)

    return wrapped
