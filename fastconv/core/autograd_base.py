"""What the Functions of autograd.py and autograd_pool.py share: when they must run, how they are
applied, forward mode. Layer: autograd, below the Functions.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch.autograd import forward_ad

_functorch_active = torch._C._are_functorch_transforms_active


def transforming() -> bool:
    """Whether forward mode or a torch.func transform is on: Functions then run in any case."""
    return forward_ad._current_level >= 0 or _functorch_active()


def differentiable_backward() -> bool:
    """Inside a backward: whether its result may be differentiated in turn (create_graph)."""
    return not torch.compiler.is_compiling() and (torch.is_grad_enabled() or transforming())


def direct_apply(function: type) -> Callable:
    """Function.apply without its inspection of the signature of forward on every call, which costs
    several times all the rest and serves default arguments, of which there are none here. Not for
    use inside torch.func transforms.
    """
    return super(torch.autograd.Function, function).apply


class EagerFunction(torch.autograd.Function):
    @classmethod
    def apply(cls, *args: Any) -> Any:
        return super().apply(*args) if _functorch_active() else direct_apply(cls)(*args)


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
