"""Nets for handwritten digits: two convolutions with pooling, then linear layers.

Layer: a user of fastconv.modules.
"""

from torch import nn

from fastconv.models.layers import layer_set
from fastconv.models.spec import ConvNet, ModelSpec


class LeNet(ConvNet):
    """LeNet with 3 x 3 filters and ReLU, for (N, in_channels, 32, 32) -> (N, num_classes)."""

    def __init__(
        self, *, layers: str = "fastconv", num_classes: int = 10, in_channels: int = 1
    ) -> None:
        chosen = layer_set(layers)
        features = nn.Sequential(
            chosen.Conv2d(in_channels, 6, 3),  # 32 -> 30
            nn.ReLU(),
            chosen.MaxPool2d(2),  # 30 -> 15
            chosen.Conv2d(6, 16, 3),  # 15 -> 13
            nn.ReLU(),
            chosen.MaxPool2d(2),  # 13 -> 6
        )
        classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * 6 * 6, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, num_classes),
        )
        super().__init__(features, classifier)


class LeNet5(ConvNet):
    """LeNet-5 with max pooling, tanh and fully connected channels in the second convolution,
    for (N, in_channels, 32, 32) -> (N, num_classes).

    Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document
    recognition", 1998; the original has trainable average pooling, a sparse second convolution
    and radial basis functions at the end.
    """

    def __init__(
        self, *, layers: str = "fastconv", num_classes: int = 10, in_channels: int = 1
    ) -> None:
        chosen = layer_set(layers)
        features = nn.Sequential(
            chosen.Conv2d(in_channels, 6, 5),  # 32 -> 28
            nn.Tanh(),
            chosen.MaxPool2d(2),  # 28 -> 14
            chosen.Conv2d(6, 16, 5),  # 14 -> 10
            nn.Tanh(),
            chosen.MaxPool2d(2),  # 10 -> 5
        )
        classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),
            nn.Tanh(),
            nn.Linear(120, 84),
            nn.Tanh(),
            nn.Linear(84, num_classes),
        )
        super().__init__(features, classifier)


class MnistCNN(ConvNet):
    """A wider net with ReLU, for (N, in_channels, 28, 28) -> (N, num_classes)."""

    def __init__(
        self, *, layers: str = "fastconv", num_classes: int = 10, in_channels: int = 1
    ) -> None:
        chosen = layer_set(layers)
        features = nn.Sequential(
            chosen.Conv2d(in_channels, 20, 5),  # 28 -> 24
            nn.ReLU(),
            chosen.MaxPool2d(2),  # 24 -> 12
            chosen.Conv2d(20, 50, 5),  # 12 -> 8
            nn.ReLU(),
            chosen.MaxPool2d(2),  # 8 -> 4
        )
        classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(50 * 4 * 4, 500),
            nn.ReLU(),
            nn.Linear(500, num_classes),
        )
        super().__init__(features, classifier)


SPECS = {
    "lenet": ModelSpec(LeNet, (1, 32, 32), "LeNet with 3x3 filters and ReLU"),
    "lenet5": ModelSpec(LeNet5, (1, 32, 32), "LeNet-5 with max pooling and tanh"),
    "mnist_cnn": ModelSpec(MnistCNN, (1, 28, 28), "20 and 50 filters of 5x5, ReLU"),
}
