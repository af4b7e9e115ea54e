"""Models of the user on the command line: MODULE:FACTORY, and sizes like 8x3x224x224.

Layer: beside the commands.
"""

import argparse
import importlib
import sys

from torch import nn

from fastconv.models import MODELS


class ModelError(Exception):
    """A user's module that cannot be imported, or that makes no model."""


class OwnModel:
    """What MODULE:FACTORY names: a function or class that makes a model without arguments, or a
    model."""

    def __init__(self, text: str) -> None:
        self.text = text

    def build(self) -> nn.Module:
        """A new model.

        Raises:
            ModelError: there is no such module or name, or it makes no model.
        """
        module, _, name = self.text.partition(":")
        if "" not in sys.path:
            sys.path.insert(0, "")  # as `python -m` has it: modules of the current folder
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ModelError(f"{self.text}: {error}") from None
        if not callable(found):
            raise ModelError(f"{self.text} is a {type(found).__name__}, not what makes a model")
        model = found if isinstance(found, nn.Module) else found()
        if not isinstance(model, nn.Module):
            kind = type(model).__name__
            raise ModelError(f"{self.text} made a {kind}, not a torch.nn.Module")
        return model


def own_model(text: str) -> OwnModel:
    module, colon, name = text.partition(":")
    if not (module and colon and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not MODULE:FACTORY")
    return OwnModel(text)


def net_or_own_model(text: str) -> str | OwnModel:
    """The name of a net of fastconv, or MODULE:FACTORY."""
    if ":" in text:
        return own_model(text)
    if text not in MODELS:
        names = ", ".join(map(repr, MODELS))
        raise argparse.ArgumentTypeError(f"invalid choice: {text!r} (choose from {names})")
    return text


def check_input(options: argparse.Namespace, of_nets: dict[str, object]) -> str | None:
    """What is wrong with --input and with options of nets: {name: value that means not given}."""
    if isinstance(options.model, str):
        return None if options.input is None else "--input belongs to MODULE:FACTORY"
    if options.input is None:
        return f"{options.model.text} needs --input, such as --input 8x3x224x224"
    for name, absent in of_nets.items():
        if getattr(options, name) != absent:
            flag = name.replace("_", "-")
            return f"--{flag} belongs to the nets of fastconv, not to {options.model.text}"
    return None


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def size(text: str) -> tuple[int, ...]:
    """(8, 3, 224, 224) of 8x3x224x224."""
    extents = text.split("x")
    if not all(e.isdecimal() and int(e) > 0 for e in extents):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 8x3x224x224")
    return tuple(map(int, extents))
