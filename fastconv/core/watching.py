"""Records each convolution and pool of a model's forward run for explain. Layer: over arguments."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fastconv.core import arguments, ops
from fastconv.core.fallbacks import REASONS


@dataclass(frozen=True)
class Call:
    """A convolution or pool that was seen; `arguments`: what follows its tensors."""

    layer: str
    operator: str
    tensors: tuple[Tensor, ...]  # on the meta device, with strides
    arguments: tuple
    left_to_torch: str = ""  # why
    transposed: bool = False  # forward is backward_input of the convolution that the rest describes


# aten's operators that a fastconv layer would have taken: name -> the operator of ours.
_ATEN = {f"aten::{name}": ours for ours in ops.operators.values() for name in ours.aten}
_OURS = {ours.name: ours for ours in _ATEN.values()}


class _Watch(TorchDispatchMode):
    """Collects the calls; `names` is the stack of the modules that run."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names, self.calls = names, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        namespace, _, name = function.name().partition("::")
        name = name.partition(".")[0]
        if namespace == "fastconv" and name in _OURS:
            count = _OURS[name].tensors
            self._add(name, args[:count], args[count:])
        elif namespace == "fastconv" and name == "conv2d_fused":
            self._add("conv2d", args[:3], args[6:])
        elif namespace == "fastconv" and name == "conv2d_backward_input":
            self._add_transposed(*args[:3], args[3:7], args[7])
        elif ours := _ATEN.get(f"{namespace}::{name}"):
            rest = args[ours.tensors :]
            self._add(ours.name, args[: ours.tensors], rest, self._why_torch(args[0], args))
        return function(*args, **(kwargs or {}))

    def _add(self, operator: str, tensors: tuple, rest: tuple, why: str = "") -> None:
        kept = tuple(t.detach().to("meta") if isinstance(t, Tensor) else None for t in tensors)
        layer = self.names[-1] if self.names else ""
        self.calls.append(Call(layer, operator, kept, tuple(map(_tuple, rest)), why))

    def _add_transposed(self, x: Tensor, w: Tensor, y_size, args: tuple, last: bool) -> None:
        memory_format = torch.channels_last if last else torch.contiguous_format
        y = torch.empty(tuple(y_size), dtype=x.dtype, device="meta", memory_format=memory_format)
        self._add("conv2d", (y, w, None), args)
        self.calls[-1] = replace(self.calls[-1], transposed=True)

    @staticmethod
    def _why_torch(x: Tensor, args: tuple) -> str:
        if x.dim() not in (3, 4):
            return f"torch's own {x.dim() - 2}-dimensional function was called"
        if len(args) > 6 and args[6] is True:
            return "a transposed convolution"
        reason = arguments.refusal(*(t for t in args[:2] if isinstance(t, Tensor)))
        if reason is not None:
            return REASONS[reason]
        return "torch's own layer or function was called: fastconv.convert(model)"


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@contextmanager
def _named(model: nn.Module, names: list[str]) -> Iterator[None]:
    """Keeps the names of the modules that run in `names`."""
    hooks = []

    def left(*_: object) -> None:
        names.pop()

    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, name=name: names.append(name)))
        hooks.append(module.register_forward_hook(left, always_call=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def watched_calls(model: nn.Module, inputs: tuple) -> list[Call]:
    """The convolutions and pools of one forward run, in evaluation mode and without gradients."""
    names: list[str] = []
    training = {module: module.training for module in model.modules()}
    watch = _Watch(names)
    try:
        model.eval()
        with torch.no_grad(), _named(model, names), watch:
            model(*inputs)
    finally:
        for module, mode in training.items():
            module.training = mode
    return watch.calls
