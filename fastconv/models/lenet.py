"""LeNet-5: two convolutions and three linear layers for 32 x 32 images, 61,706 parameters.

Layer: a user of fastconv.modules.
"""

import torch
from torch import nn

from fastconv.models.layers import layer_set


class LeNet5(nn.Module):
    """LeNet-5 with max pooling, tanh and fully connected channels in the second convolution.

    Shapes:
        input: (N, in_channels, 32, 32), float32
        output: (N, num_classes), the logits

    Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document
    recognition", 1998; the original has trainable average pooling, a sparse second convolution
    and radial basis functions at the end.
    """

    def __init__(
        self, *, layers: str = "fastconv", num_classes: int = 10, in_channels: int = 1
    ) -> None:
        super().__init__()
        chosen = layer_set(layers)
        self.features = nn.Sequential(
            chosen.Conv2d(in_channels, 6, 5),  # 32 -> 28
            nn.Tanh(),
            chosen.MaxPool2d(2),  # 28 -> 14
            chosen.Conv2d(6, 16, 5),  # 14 -> 10
            nn.Tanh(),
            chosen.MaxPool2d(2),  # 10 -> 5
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),
            nn.Tanh(),
            nn.Linear(120, 84),
            nn.Tanh(),
            nn.Linear(84, num_classes),
        )

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(input))
