"""Counts the parameters and multiply-adds of a model.

Layer: over the registry's models; torch only."""

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class Cost(NamedTuple):
    """``parameters``: trainable numbers; ``multiply_adds``: of convolutions and linear layers, for
    one image, forward, without their biases.
    """

    parameters: int
    multiply_adds: int


def cost(model: nn.Module, input_shape: tuple[int, ...]) -> Cost:
    """What ``model`` costs for an input of this shape, such as an image of (IC, IH, IW).

    Runs it on a batch of no images, which takes no arithmetic. An output of a convolution or linear
    layer is a sum of as many products as its filter or row has weights.
    """
    products = 0

    def count(module: nn.Module, _: tuple, output: torch.Tensor) -> None:
        nonlocal products
        products += output.shape[1:].numel() * module.weight[0].numel()

    counted = (nn.Conv1d, nn.Conv2d, nn.Linear)
    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, counted)]
    training = {m: m.training for m in model.modules()}
    try:
        with torch.no_grad():
            model.eval()(torch.empty(0, *input_shape, device=next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
        for module, was_training in training.items():
            module.training = was_training
    return Cost(sum(p.numel() for p in model.parameters() if p.requires_grad), products)


class Unwritten(TorchFunctionMode):
    """While it is on, models are built without initial weights, which takes no time and, as the
    memory of large tensors comes when it is written, no memory: for counting, not for computing.
    """

    SKIPPED = frozenset({"normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_"})

    def __torch_function__(self, function, types, args=(), kwargs=None) -> Any:
        if function.__name__ in self.SKIPPED:
            return args[0] if args else kwargs["tensor"]
        return function(*args, **(kwargs or {}))
