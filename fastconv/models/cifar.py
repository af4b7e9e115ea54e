"""Small nets for 32 x 32 colour images: a convolutional net and a dense one.

Layer: a user of fastconv.modules.
"""

from itertools import pairwise

from torch import nn

from fastconv.models.layers import layer_set
from fastconv.models.spec import ConvNet, ModelSpec


class CifarNet(ConvNet):
    """16, then 8 filters of 3 x 3 with tanh, for (N, in_channels, 32, 32) -> (N, num_classes)."""

    def __init__(
        self, *, layers: str = "fastconv", num_classes: int = 10, in_channels: int = 3
    ) -> None:
        chosen = layer_set(layers)
        features = nn.Sequential(
            chosen.Conv2d(in_channels, 16, 3, padding=1),
            nn.Tanh(),
            chosen.MaxPool2d(2),  # 32 -> 16
            chosen.Conv2d(16, 8, 3, padding=1),
            nn.Tanh(),
            chosen.MaxPool2d(2),  # 16 -> 8
        )
        classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(8 * 8 * 8, 32),
            nn.Tanh(),
            nn.Linear(32, num_classes),
        )
        super().__init__(features, classifier)


class CifarDense(nn.Sequential):
    """Linear layers with tanh, for (N, in_channels, 32, 32) -> (N, num_classes)."""

    def __init__(
        self, *, layers: str = "fastconv", num_classes: int = 10, in_channels: int = 3
    ) -> None:
        layer_set(layers)  # has no part in a dense net, but its name is checked
        super().__init__(nn.Flatten())
        for inputs, outputs in pairwise((in_channels * 32 * 32, 1024, 512, 128)):
            self.append(nn.Linear(inputs, outputs))
            self.append(nn.Tanh())
        self.append(nn.Linear(128, num_classes))


SPECS = {
    "cifar_net": ModelSpec(CifarNet, (3, 32, 32), "16 and 8 filters of 3x3, tanh"),
    "cifar_dense": ModelSpec(CifarDense, (3, 32, 32), "cifar_net's dense rival"),
}
