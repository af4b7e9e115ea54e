"""Models of the user on the command line: MODULE:FACTORY and sizes like 8x3x224x224.

Layer: beside the commands.
"""

import argparse
import importlib
import sys

from torch import nn


class OwnModel:
    """What MODULE:FACTORY names: a function or class that makes a model without arguments, or a
    model."""

    def __init__(self, text: str) -> None:
        self.text = text

    def build(self) -> nn.Module:
        """A new model.

        Raises:
            ArgumentTypeError: there is no such module or name, or it makes no model.
        """
        module, _, name = self.text.partition(":")
        if "" not in sys.path:
            sys.path.insert(0, "")  # as `python -m` has it: modules of the current folder
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise argparse.ArgumentTypeError(f"{self.text}: {error}") from None
        model = found if isinstance(found, nn.Module) else found()
        if not isinstance(model, nn.Module):
            kind = type(model).__name__
            raise argparse.ArgumentTypeError(f"{self.text} made a {kind}, not a torch.nn.Module")
        return model


def own_model(text: str) -> OwnModel:
    module, colon, name = text.partition(":")
    if not (module and colon and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not MODULE:FACTORY")
    return OwnModel(text)


def size(text: str) -> tuple[int, ...]:
    """(8, 3, 224, 224) of 8x3x224x224."""
    extents = text.split("x")
    if not all(e.isdecimal() and int(e) > 0 for e in extents):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 8x3x224x224")
    return tuple(map(int, extents))
