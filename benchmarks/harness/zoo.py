"""The nets that are measured end to end: those of fastconv.models, and some of torchvision's, which
are converted by fastconv.convert: "torchvision.mobilenet_v2".
"""

import sys
import types
from functools import lru_cache
from types import ModuleType

from torch import nn

import fastconv
from fastconv import models

PREFIX = "torchvision."
NAMES = ("mobilenet_v2", "efficientnet_b0", "densenet121", "convnext_tiny")
SMALL = [(PREFIX + name, extent) for name in NAMES for extent in (32, 64)]
LARGE = [(PREFIX + name, 224) for name in NAMES]


@lru_cache
def _torchvision() -> ModuleType:
    """torchvision.models. A torchvision whose operators do not load beside this torch (builds for
    CUDA and for CPUs mixed) has models all the same: they are Python over torch.nn.

    Raises:
        ImportError: it is not installed, or does not import.
    """
    try:
        import torchvision.models
    except RuntimeError:  # "operator torchvision::nms does not exist"
        name = "torchvision._meta_registrations"  # describes those operators to compilers
        sys.modules[name] = types.ModuleType(name)
        try:
            import torchvision.models
        except RuntimeError as error:
            raise ImportError(f"torchvision does not import beside this torch: {error}") from error
    return torchvision.models


def build(net: str, layers: str = "torch") -> nn.Module:
    """`layers`: "torch" or "fastconv".

    Raises:
        ImportError: a net of torchvision, which does not import.
    """
    if not net.startswith(PREFIX):
        return models.build(net, layers=layers)
    model = _torchvision().get_model(net.removeprefix(PREFIX))
    return fastconv.convert(model) if layers == "fastconv" else model


def channels_and_extent(net: str) -> tuple[int, int]:
    """Of the images that the net is made for."""
    return (3, 224) if net.startswith(PREFIX) else models.input_shape(net)[:2]


def classes(net: str) -> int:
    return 1000 if net.startswith(PREFIX) else models.MODELS[net].num_classes
