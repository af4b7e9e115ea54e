"""ResNet: blocks of convolutions with shortcuts, for 224 x 224 or 32 x 32 images.

Layer: a user of fastconv.modules.
"""

from functools import partial

import torch
from torch import nn

from fastconv.models.layers import LayerSet, layer_set
from fastconv.models.spec import ModelSpec


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions, (N, in_channels, IH, IW) -> (N, channels, IH / stride, ...)."""

    expansion = 1

    def __init__(self, chosen: LayerSet, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        # Before the rest, so that a seed gives the same weights as in torchvision.
        downsample = _shortcut(chosen, in_channels, channels, stride)
        self.conv1 = chosen.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = chosen.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = downsample

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(input)))
        y = self.bn2(self.conv2(y))
        y += input if self.downsample is None else self.downsample(input)
        return self.relu(y)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions, (N, in_channels, IH, IW) -> (N, 4 * channels,
    IH / stride, IW / stride); the 3 x 3 one has the stride, as in torchvision.
    """

    expansion = 4

    def __init__(self, chosen: LayerSet, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        downsample = _shortcut(chosen, in_channels, out_channels, stride)  # first, as above
        self.conv1 = chosen.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = chosen.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = chosen.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(input)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += input if self.downsample is None else self.downsample(input)
        return self.relu(y)


def _shortcut(
    chosen: LayerSet, in_channels: int, out_channels: int, stride: int
) -> nn.Sequential | None:
    """A 1 x 1 convolution where a block changes the extents; None where the input fits as it is."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        chosen.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


# Depth: the block, and how many of them each stage has.
STAGES = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}
STEMS = ("imagenet", "cifar")


class ResNet(nn.Module):
    """ResNet with the names, shapes and function of torchvision's, whose weights it loads.

    Args:
        depth: 18, 34, 50, 101 or 152 layers with weights.
        stem: "imagenet" begins with 7 x 7 filters of stride 2 and max pooling, "cifar", for 32 x
            32 images, with 3 x 3 filters of stride 1 and no pooling.

    Shapes:
        input: (N, in_channels, IH, IW), of any extents
        output: (N, num_classes), the logits

    Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015.
    """

    def __init__(
        self,
        depth: int,
        *,
        stem: str = "imagenet",
        layers: str = "fastconv",
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        for what, value, choices in (("depth", depth, STAGES), ("stem", stem, STEMS)):
            if value not in choices:
                known = ", ".join(map(str, choices))
                raise ValueError(f"no ResNet of {what} {value}: choose from {known}")
        chosen = layer_set(layers)
        if stem == "imagenet":
            self.conv1 = chosen.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        else:
            self.conv1 = chosen.Conv2d(in_channels, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = (
            chosen.MaxPool2d(3, stride=2, padding=1) if stem == "imagenet" else nn.Identity()
        )
        block, counts = STAGES[depth]
        self.layer1 = _stage(chosen, block, counts[0], 64, 64, stride=1)
        self.layer2 = _stage(chosen, block, counts[1], 64 * block.expansion, 128, stride=2)
        self.layer3 = _stage(chosen, block, counts[2], 128 * block.expansion, 256, stride=2)
        self.layer4 = _stage(chosen, block, counts[3], 256 * block.expansion, 512, stride=2)
        self.avgpool = chosen.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        y = self.maxpool(self.relu(self.bn1(self.conv1(input))))
        y = self.layer4(self.layer3(self.layer2(self.layer1(y))))
        return self.fc(self.avgpool(y).flatten(1))


def _stage(
    chosen: LayerSet, block: type, count: int, in_channels: int, channels: int, stride: int
) -> nn.Sequential:
    first = block(chosen, in_channels, channels, stride)
    others = (block(chosen, channels * block.expansion, channels, 1) for _ in range(count - 1))
    return nn.Sequential(first, *others)


SPECS = {
    f"resnet{depth}": ModelSpec(partial(ResNet, depth), (3, 224, 224), f"ResNet of {depth} layers")
    for depth in STAGES
}
SPECS |= {
    f"resnet{depth}_cifar": ModelSpec(
        partial(ResNet, depth, stem="cifar", num_classes=10),
        (3, 32, 32),
        f"ResNet of {depth} layers, stem for small images",
    )
    for depth in (18, 34, 50)
}
