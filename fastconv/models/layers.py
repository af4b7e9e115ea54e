"""The layers a model takes from outside, so that one definition serves fastconv and torch.nn.

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


LAYER_SETS = {
    name: LayerSet(*(getattr(source, field) for field in LayerSet._fields))
    for name, source in {"fastconv": modules, "torch": nn}.items()
}


def layer_set(name: str) -> LayerSet:
    """The layer set called "fastconv" or "torch".

    Raises:
        ValueError: no such layer set.
    """
    if name not in LAYER_SETS:
        raise ValueError(f"no layer set {name!r}: choose from {', '.join(LAYER_SETS)}")
    return LAYER_SETS[name]
