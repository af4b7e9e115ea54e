"""Models to test; one forward and backward of them, and how far from exact it is.

A number near a kink (what a ReLU sees near 0, two numbers of a pooling window near each other) may
round to the other side of it, and the gradient jumps. So a run notes its decisions, and the
reference takes the same: what is left to compare is rounding alone.
"""

import statistics
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fastconv import models

F = torch.nn.functional
LARGE = 10**7  # weights: the linear layers of AlexNet and VGG, torch's own in both layer sets


def hollow(name: str, **options) -> nn.Module:
    """A model of shapes without numbers."""
    with torch.device("meta"):
        return models.build(name, **options)


def seeded(name: str, **options: object) -> nn.Module:
    """A model with the weights of seed 3."""
    torch.manual_seed(3)
    return models.build(name, **options)


def settle(model: nn.Module, x: Tensor) -> nn.Module:
    """For evaluation: batch norms have the statistics of x, as after training."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        with torch.no_grad():
            model.train()(x)
    return model.eval()


class Decisions:
    """While a model is in it, its ReLUs and max pools note their decisions or take given ones."""

    def __init__(self, model: nn.Module, given: list[Tensor] | None = None) -> None:
        self.noted: list[Tensor] = []
        self.given: Iterator[Tensor] | None = None if given is None else iter(given)
        self.hooks = []
        for module in model.modules():
            if isinstance(module, nn.ReLU):
                if given is not None:
                    module.inplace = False  # the hook needs the input
                self.hooks.append(module.register_forward_hook(self.relu))
            elif isinstance(module, nn.MaxPool2d):
                self.hooks.append(module.register_forward_hook(self.max_pool))

    def relu(self, module: nn.ReLU, inputs: tuple[Tensor], y: Tensor) -> Tensor | None:
        if self.given is not None:
            return inputs[0] * next(self.given)
        self.noted.append(y > 0)
        return None

    def max_pool(self, module: nn.MaxPool2d, inputs: tuple[Tensor], y: Tensor) -> Tensor | None:
        x = inputs[0].detach() if self.given is None else inputs[0]
        if self.given is not None:
            at = next(self.given)
            return x.flatten(2).gather(2, at.flatten(2)).view_as(at)
        windows = (module.kernel_size, module.stride, module.padding, module.dilation)
        self.noted.append(F.max_pool2d(x, *windows, return_indices=True)[1])
        return None

    def __enter__(self) -> "Decisions":
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()
        assert self.given is None or next(self.given, None) is None


def run(
    model: nn.Module, x: Tensor, grad_y: Tensor, given: list[Tensor] | None = None
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """{name: output, gradient of the input, of each parameter} and the decisions taken.

    Weights of LARGE or more numbers get no gradient, for memory's sake.
    """
    trained = {name: p for name, p in model.named_parameters() if p.numel() < LARGE}
    x = x.detach().requires_grad_()
    with Decisions(model, given) as decisions:
        y = model(x)
    wanted = torch.autograd.grad(y, [x, *trained.values()], grad_y)
    return dict(zip(("output", "input", *trained), (y.detach(), *wanted), strict=True)), (
        decisions.noted
    )


def rms(t: Tensor) -> float:
    return t.double().square().mean().sqrt().item()


def factor(terms: int) -> float:
    """How much more than torch a kernel may err that adds `terms` numbers of either sign in turn.

    Partial sums grow as the root of their length, so u * (terms / 2) ** 0.5 of the sum is lost; in
    blocks of terms ** 0.5, such as a matrix product has, u * terms ** 0.25: Higham, "Accuracy and
    Stability of Numerical Algorithms", section 4.2, with roundings as random as in Higham and Mary,
    "A new approach to probabilistic rounding error analysis", 2019.
    """
    return (terms / 4) ** 0.25


def assert_no_further_than_torch(
    ours: dict[str, Tensor], torchs: dict[str, Tensor], exact: dict[str, Tensor], terms: int
) -> None:
    """Each tensor of ours is as near to the exact one, in root mean square, as factor(terms) times
    torch's, or torch's typical one: a tensor of few numbers can be exact by luck.
    """
    scales = {name: rms(t) for name, t in exact.items()}
    errors = {name: rms(torchs[name].double() - t) for name, t in exact.items()}
    typical = statistics.median(errors[name] / scales[name] for name in exact if scales[name])
    for name, t in exact.items():
        assert ours[name].dtype is torch.float32 and ours[name].shape == t.shape, name
        error = rms(ours[name].double() - t)
        limit = factor(terms) * max(errors[name], typical * scales[name])
        assert error <= limit, f"{name}: off by {error:.3g}, allowed {limit:.3g}"
