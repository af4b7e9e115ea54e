"""The layer classes that a model is built from. One definition serves fastconv and torch.nn.

Layer: a user of fastconv.modules.
"""

from typing import NamedTuple

from torch import nn

from fastconv import modules


class LayerSet(NamedTuple):
    """The classes that differ between the variants of a model; all else comes from torch.nn."""

    Conv2d: type[nn.Conv2d]
    MaxPool2d: type[nn.MaxPool2d]
    AvgPool2d: type[nn.AvgPool2d]
    AdaptiveAvgPool2d: type[nn.AdaptiveAvgPool2d]
    Conv1d: type[nn.Conv1d]
    Conv2dSame: type[nn.Conv2d]


class TorchConv2dSame(modules.SameSize, nn.Conv2d):
    """:class:`fastconv.Conv2dSame` computed by torch, which has no class of its own for it."""

    _function = staticmethod(nn.functional.conv2d)


LAYER_SETS = {
    "fastconv": LayerSet(*(getattr(modules, field) for field in LayerSet._fields)),
    "torch": LayerSet(
        *(getattr(nn, field) for field in LayerSet._fields if field != "Conv2dSame"),
        Conv2dSame=TorchConv2dSame,
    ),
}


def layer_set(name: str) -> LayerSet:
    """The layer set called "fastconv" or "torch".

    Raises:
        ValueError: no such layer set.
    """
    if name not in LAYER_SETS:
        raise ValueError(f"no layer set {name!r}: choose from {', '.join(LAYER_SETS)}")
    return LAYER_SETS[name]
