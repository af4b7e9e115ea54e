"""The layers of the nets as cases: a net runs on the meta device, which computes nothing, and each
convolution and pooling that it calls becomes a case."""

from collections import Counter
from functools import lru_cache

import torch
from cases import AdaptiveCase, Case, ConvCase, PoolCase
from torch import nn

from fastconv import models

# Net -> extents of its images: the nets as they are, and ResNet and VGG also on small images, down
# to maps of 2 x 2 and 1 x 1.
NETS = [
    ("lenet", 32),
    ("lenet5", 32),
    ("mnist_cnn", 28),
    ("tiny_cnn", 100),
    ("tiny_cnn_pooled", 100),
    ("cifar_net", 32),
    ("alexnet", 224),
    ("vgg16", 224),
    ("resnet18", 224),
    ("resnet50", 224),
    ("vgg16", 32),
    ("resnet18", 32),
    ("resnet50", 32),
    ("resnet18_cifar", 32),
]


def _conv_case(name: str, layer: nn.Conv2d, size: torch.Size) -> ConvCase:
    (top, left), (KH, KW) = layer.padding, layer.kernel_size
    padding = (top, top, left, left)
    geometry = (layer.stride, padding, layer.dilation, layer.groups)
    return ConvCase(name, *size, layer.out_channels, KH, KW, *geometry)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _pool_case(name: str, layer: nn.Module, size: torch.Size) -> PoolCase:
    window = (_pair(layer.kernel_size), _pair(layer.stride), _pair(layer.padding))
    if isinstance(layer, nn.MaxPool2d):
        return PoolCase(name, *size, *window, _pair(layer.dilation), layer.ceil_mode)
    more = (layer.ceil_mode, layer.count_include_pad, layer.divisor_override)
    return PoolCase(name, *size, *window, (1, 1), *more, average=True)


def _adaptive_case(name: str, layer: nn.AdaptiveAvgPool2d, size: torch.Size) -> AdaptiveCase:
    return AdaptiveCase(name, *size, _pair(layer.output_size))


_CASE_OF_LAYER = {
    nn.Conv2d: _conv_case,
    nn.MaxPool2d: _pool_case,
    nn.AvgPool2d: _pool_case,
    nn.AdaptiveAvgPool2d: _adaptive_case,
}


@lru_cache
def layers_of(net: str, extent: int) -> tuple[Case, ...]:
    """Every convolution and pooling that a net calls for one image, in order, with repetitions.

    A name has the net, its extent unless the net is made for it, and the layer. The members of a
    Sequential have no names; they are called conv1, conv2, ..., pool1, pool2, ...
    """
    calls, counts = [], Counter()
    channels, native, _ = models.input_shape(net)
    with torch.device("meta"):
        model = models.build(net, layers="torch").eval()
        for path, layer in model.named_modules():
            if make := _CASE_OF_LAYER.get(type(layer)):
                kind = "conv" if isinstance(layer, nn.Conv2d) else "pool"
                counts[kind] += 1
                own = f"{kind}{counts[kind]}" if path.startswith("features.") else path
                name = f"{net}{'' if extent == native else f'@{extent}'}.{own}"
                layer.register_forward_pre_hook(
                    lambda layer, args, name=name, make=make: calls.append(
                        make(name, layer, args[0].shape)
                    )
                )
        model(torch.empty(1, channels, extent, extent))
    return tuple(calls)


def net_layers() -> dict[Case, list[str]]:
    """Every distinct convolution and pooling of NETS for one image, named after the first that has
    it, with the names of all that have it.
    """
    distinct: dict[tuple, list[Case]] = {}
    for net, extent in NETS:
        for case in layers_of(net, extent):
            distinct.setdefault((type(case), *case[1:]), []).append(case)
    return {same[0]: [case.name for case in same] for same in distinct.values()}
