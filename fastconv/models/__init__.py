"""The nets: a registry of models, each built with fastconv's layers or with torch.nn's.

A new model is one file here and one line in MODELS. Layer: a user of fastconv.modules.
"""

from collections.abc import Callable

from torch import nn

from fastconv.models.layers import LAYER_SETS, LayerSet, layer_set
from fastconv.models.lenet import LeNet5

__all__ = ["LAYER_SETS", "MODELS", "LayerSet", "LeNet5", "build", "layer_set"]

MODELS: dict[str, Callable[..., nn.Module]] = {
    "lenet5": LeNet5,
}


def build(
    name: str, *, layers: str = "fastconv", num_classes: int = 10, in_channels: int = 1
) -> nn.Module:
    """A freshly initialised model, with weights drawn from torch's default generator.

    Args:
        name: a key of ``MODELS``.
        layers: a key of ``LAYER_SETS``: "fastconv" or "torch". Both give the same ``state_dict``
            keys and, from the same state of the generator, the same weights.
        num_classes: number of outputs per image.
        in_channels: channels of an input image.

    Raises:
        ValueError: no such model or layer set.
    """
    if name not in MODELS:
        raise ValueError(f"no model {name!r}: choose from {', '.join(MODELS)}")
    return MODELS[name](layers=layers, num_classes=num_classes, in_channels=in_channels)
