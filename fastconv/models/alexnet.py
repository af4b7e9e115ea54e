"""AlexNet in one tower: five convolutions and three linear layers for 224 x 224 images.

Layer: a user of fastconv.modules.
"""

import torch
from torch import nn

from fastconv.models.layers import layer_set
from fastconv.models.spec import ModelSpec


class AlexNet(nn.Module):
    """AlexNet with the names, shapes and function of torchvision's, whose weights it loads.

    Shapes:
        input: (N, in_channels, IH, IW), IH and IW at least 63
        output: (N, num_classes), the logits

    Source: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
    """

    def __init__(
        self,
        *,
        layers: str = "fastconv",
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        chosen = layer_set(layers)
        self.features = nn.Sequential(
            chosen.Conv2d(in_channels, 64, 11, stride=4, padding=2),  # 224 -> 55
            nn.ReLU(inplace=True),
            chosen.MaxPool2d(3, stride=2),  # 55 -> 27
            chosen.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(inplace=True),
            chosen.MaxPool2d(3, stride=2),  # 27 -> 13
            chosen.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            chosen.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            chosen.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            chosen.MaxPool2d(3, stride=2),  # 13 -> 6
        )
        self.avgpool = chosen.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.avgpool(self.features(input)).flatten(1))


SPECS = {"alexnet": ModelSpec(AlexNet, (3, 224, 224), "AlexNet, single tower")}
