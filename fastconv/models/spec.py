"""What the registry knows of a model, and the frame that the plain nets share.

Layer: below the families of models; torch only.
"""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn


class ModelSpec(NamedTuple):
    """A row of the registry.

    ``build`` is the constructor: build(layers=, num_classes=, in_channels=, ...) -> nn.Module.
    ``input_shape`` is (IC, IH, IW), the images that the model is made for.
    """

    build: Callable[..., nn.Module]
    input_shape: tuple[int, int, int]
    description: str

    @property
    def num_classes(self) -> int:
        """Outputs per image unless told otherwise: what the constructor takes by default."""
        return inspect.signature(self.build).parameters["num_classes"].default


class ConvNet(nn.Module):
    """``features``, then ``classifier``, which flattens what it is given.

    Shapes:
        input: (N, IC, IH, IW), float32
        output: (N, num_classes), the logits
    """

    def __init__(self, features: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.classifier = classifier

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(input))
