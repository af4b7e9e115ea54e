"""The nets: a registry of models, each built with fastconv's layers or with torch.nn's.

A new family is one file here and one line in MODELS. Layer: a user of fastconv.modules.
"""

from torch import nn

from fastconv.models import alexnet, cifar, lenet, resnet, tiny, vgg
from fastconv.models.alexnet import AlexNet
from fastconv.models.cifar import CifarDense, CifarNet
from fastconv.models.layers import LAYER_SETS, LayerSet, layer_set
from fastconv.models.lenet import LeNet, LeNet5, MnistCNN
from fastconv.models.resnet import ResNet
from fastconv.models.spec import ModelSpec
from fastconv.models.tiny import DeepTinyCNN, DeepTinyDense, TinyCNN
from fastconv.models.vgg import VGG

__all__ = [
    "LAYER_SETS",
    "MODELS",
    "VGG",
    "AlexNet",
    "CifarDense",
    "CifarNet",
    "DeepTinyCNN",
    "DeepTinyDense",
    "LayerSet",
    "LeNet",
    "LeNet5",
    "MnistCNN",
    "ModelSpec",
    "ResNet",
    "TinyCNN",
    "build",
    "input_shape",
    "layer_set",
]

MODELS: dict[str, ModelSpec] = {
    **lenet.SPECS,
    **tiny.SPECS,
    **cifar.SPECS,
    **alexnet.SPECS,
    **vgg.SPECS,
    **resnet.SPECS,
}


def build(
    name: str,
    *,
    layers: str = "fastconv",
    num_classes: int | None = None,
    in_channels: int | None = None,
    **options: object,
) -> nn.Module:
    """A freshly initialised model, with weights drawn from torch's default generator.

    Args:
        name: a key of ``MODELS``.
        layers: a key of ``LAYER_SETS``: "fastconv" or "torch". Both give the same ``state_dict``
            keys and, from the same state of the generator, the same weights.
        num_classes: number of outputs per image; None for the model's own.
        in_channels: channels of an input image; None for the model's own.
        options: further keywords of the model's constructor, ``dropout`` of AlexNet, say.

    Raises:
        ValueError: no such model or layer set.

    Examples:
        >>> net = fastconv.models.build("lenet5", num_classes=3)
        >>> tuple(net(torch.ones(2, 1, 32, 32)).shape)
        (2, 3)
    """
    given = {"num_classes": num_classes, "in_channels": in_channels}
    options.update((key, value) for key, value in given.items() if value is not None)
    return _spec(name).build(layers=layers, **options)


def input_shape(name: str) -> tuple[int, int, int]:
    """(IC, IH, IW) of the images that a model is made for.

    Args:
        name: a key of ``MODELS``.

    Raises:
        ValueError: no such model.

    Examples:
        >>> fastconv.models.input_shape("lenet5")
        (1, 32, 32)
    """
    return _spec(name).input_shape


def _spec(name: str) -> ModelSpec:
    if name not in MODELS:
        raise ValueError(f"no model {name!r}: choose from {', '.join(MODELS)}")
    return MODELS[name]
