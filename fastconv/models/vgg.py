"""VGG: 8 to 16 convolutions of 3 x 3 and three linear layers for 224 x 224 images.

Layer: a user of fastconv.modules.
"""

from functools import partial

import torch
from torch import nn

from fastconv.models.layers import layer_set
from fastconv.models.spec import ModelSpec

STAGE_CHANNELS = (64, 128, 256, 512, 512)

# Depth: convolutions in each stage; the configurations A, B, D and E of the paper.
STAGES = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


class VGG(nn.Module):
    """VGG with the names, shapes and function of torchvision's, whose weights it loads.

    Args:
        depth: 11, 13, 16 or 19 layers with weights.
        batch_norm: batch normalisation after each convolution.

    Shapes:
        input: (N, in_channels, IH, IW), IH and IW at least 32
        output: (N, num_classes), the logits

    Sources: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
    recognition", 2014; initial values of the filters: He, Zhang, Ren, Sun, "Delving deep into
    rectifiers", 2015.
    """

    def __init__(
        self,
        depth: int,
        *,
        batch_norm: bool = False,
        layers: str = "fastconv",
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if depth not in STAGES:
            raise ValueError(f"no VGG of depth {depth}: choose from {', '.join(map(str, STAGES))}")
        chosen = layer_set(layers)
        self.features = nn.Sequential()
        channels = in_channels
        for count, out_channels in zip(STAGES[depth], STAGE_CHANNELS, strict=True):
            for _ in range(count):
                self.features.append(chosen.Conv2d(channels, out_channels, 3, padding=1))
                if batch_norm:
                    self.features.append(nn.BatchNorm2d(out_channels))
                self.features.append(nn.ReLU(inplace=True))
                channels = out_channels
            self.features.append(chosen.MaxPool2d(2))  # 224 -> 112 -> 56 -> 28 -> 14 -> 7
        self.avgpool = chosen.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.avgpool(self.features(input)).flatten(1))


SPECS = {
    f"vgg{depth}{'_bn' * batch_norm}": ModelSpec(
        partial(VGG, depth, batch_norm=batch_norm),
        (3, 224, 224),
        f"VGG of {depth} layers{', batch norm' * batch_norm}",
    )
    for depth in STAGES
    for batch_norm in (False, True)
}
