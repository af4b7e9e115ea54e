"""A net of all four layers, and one step of training it.

Of whole numbers in float64 (``fill``) all sums are exact, as windows have 2 x 2 elements: results
must equal torch's.
"""

from collections.abc import Callable

import torch
from tensors import whole
from torch import Tensor, nn

import fastconv


class Net(nn.Module):
    """All four layers, (N, 2, 13, 13) -> (N, 3)."""

    def __init__(self, package=fastconv):
        super().__init__()
        self.conv1 = package.Conv2d(2, 4, 2, padding=1)
        self.pool1 = package.MaxPool2d(2)
        self.conv2 = package.Conv2d(4, 4, (1, 2), stride=(1, 2), groups=2, padding=(0, 1))
        self.pool2 = package.AvgPool2d(2, 1)
        self.pool3 = package.AdaptiveAvgPool2d((3, None))
        self.head = nn.Linear(36, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(torch.relu(self.conv1(x)))
        x = self.pool2(torch.relu(self.conv2(x)))
        return self.head(torch.flatten(self.pool3(x), 1))


def step(model: Callable, x: Tensor, parameters) -> list[Tensor]:
    """[output, gradient of x, gradients of the parameters] of the output's square."""
    parameters = list(parameters)
    for p in parameters:
        p.grad = None
    x = x.detach().clone().requires_grad_()
    y = model(x)
    y.square().sum().backward()
    return [y.detach(), x.grad, *(p.grad.clone() for p in parameters)]


X = whole(3, 2, 13, 13, seed=9)
