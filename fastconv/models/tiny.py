"""Nets with two or three filters a layer and one output, to count parameters by hand.

Layer: a user of fastconv.modules.
"""

from functools import partial
from itertools import pairwise

from torch import nn

from fastconv.models.layers import layer_set
from fastconv.models.spec import ConvNet, ModelSpec


class TinyCNN(ConvNet):
    """Three, then two 3 x 3 filters, for (N, in_channels, 100, 100) -> (N, num_classes).

    ``pooled``: max pooling by 2 after each ReLU, which leaves 1,250 of 20,000 numbers for the
    linear layer.
    """

    def __init__(
        self,
        *,
        pooled: bool = False,
        layers: str = "fastconv",
        num_classes: int = 1,
        in_channels: int = 1,
    ) -> None:
        chosen = layer_set(layers)
        features = nn.Sequential()
        for channels, filters in ((in_channels, 3), (3, 2)):
            features.append(chosen.Conv2d(channels, filters, 3, padding=1))
            features.append(nn.ReLU())
            if pooled:
                features.append(chosen.MaxPool2d(2))
        extent = 100 // 4 if pooled else 100
        classifier = nn.Sequential(nn.Flatten(), nn.Linear(2 * extent**2, num_classes))
        super().__init__(features, classifier)


class DeepTinyCNN(ConvNet):
    """Five times three 3 x 3 filters, for (N, in_channels, 128, 128) -> (N, num_classes)."""

    def __init__(
        self, *, layers: str = "fastconv", num_classes: int = 1, in_channels: int = 1
    ) -> None:
        chosen = layer_set(layers)
        features = nn.Sequential()
        for channels in (in_channels, 3, 3, 3, 3):
            features.append(chosen.Conv2d(channels, 3, 3, padding=1))
            features.append(nn.ReLU())
        classifier = nn.Sequential(nn.Flatten(), nn.Linear(3 * 128 * 128, num_classes))
        super().__init__(features, classifier)


class DeepTinyDense(nn.Sequential):
    """Linear layers alone, for (N, in_channels, 128, 128) -> (N, num_classes)."""

    def __init__(
        self, *, layers: str = "fastconv", num_classes: int = 1, in_channels: int = 1
    ) -> None:
        layer_set(layers)  # has no part in a dense net, but its name is checked
        super().__init__(nn.Flatten())
        for inputs, outputs in pairwise((in_channels * 128 * 128, 256, 128, 64, 16)):
            self.append(nn.Linear(inputs, outputs))
            self.append(nn.ReLU())
        self.append(nn.Linear(16, num_classes))


SPECS = {
    "tiny_cnn": ModelSpec(TinyCNN, (1, 100, 100), "3 and 2 filters of 3x3, one output"),
    "tiny_cnn_pooled": ModelSpec(
        partial(TinyCNN, pooled=True), (1, 100, 100), "tiny_cnn with max pooling"
    ),
    "deep_tiny_cnn": ModelSpec(DeepTinyCNN, (1, 128, 128), "5 x 3 filters of 3x3, one output"),
    "deep_tiny_dense": ModelSpec(DeepTinyDense, (1, 128, 128), "deep_tiny_cnn's dense rival"),
}
