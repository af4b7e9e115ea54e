"""What a run is made of: model, data, layers and the numbers of the optimiser, with defaults.

Layer: below train and the command line; knows the names of the models.
"""

import math
from dataclasses import asdict, dataclass

from fastconv import models

LAYER_CHOICES = {"both": ("fastconv", "torch"), "fastconv": ("fastconv",), "torch": ("torch",)}


class TrainError(RuntimeError):
    """Training cannot start or go on; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Recipe:
    """How a data set is trained on unless told otherwise."""

    epochs: int
    batch_size: int
    lr: float
    momentum: float


RECIPES = {
    "digits": Recipe(epochs=20, batch_size=32, lr=0.02, momentum=0.9),
    "mnist": Recipe(epochs=5, batch_size=64, lr=0.03, momentum=0.9),
}


@dataclass(frozen=True)
class Config:
    """Everything that decides the outcome of a run.

    Args:
        model: a key of ``models.MODELS``.
        data: the name of the data set.
        layers: "both", "fastconv" or "torch".
        epochs: passes over the training images, at least 1.
        batch_size: images per step, at least 1; the last batch of an epoch may be smaller.
        lr: learning rate of the first step, > 0; it falls to 0 along half a cosine over the run.
        momentum: of SGD, in [0, 1).
        seed: for the initial weights and the order of the images, in 0 .. 2**32 - 1.

    Raises:
        TrainError: a value out of range.
    """

    model: str
    data: str
    layers: str
    epochs: int
    batch_size: int
    lr: float
    momentum: float
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in {"model": models.MODELS, "layers": LAYER_CHOICES}.items():
            value = getattr(self, name)
            if value not in choices:
                raise TrainError(f"{name} is {value!r}: choose from {', '.join(choices)}")
        for name, (valid, wanted) in {
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "lr": (0 < self.lr < math.inf, "a positive number"),
            "momentum": (0 <= self.momentum < 1, "at least 0 and below 1"),
            "seed": (0 <= self.seed < 2**32, "in 0 .. 4294967295"),
        }.items():
            if not valid:
                raise TrainError(f"{name} is {getattr(self, name)}: it must be {wanted}")

    @property
    def layer_sets(self) -> tuple[str, ...]:
        """The keys of ``models.LAYER_SETS`` to train."""
        return LAYER_CHOICES[self.layers]

    @classmethod
    def for_data(
        cls, data: str, *, model: str, layers: str = "both", seed: int = 0, **changes: float | None
    ) -> "Config":
        """The configuration of the recipe for ``data``, but for the ``changes`` that are not None.

        Raises:
            TrainError: a value out of range.
        """
        numbers = asdict(RECIPES[data])
        numbers.update({name: value for name, value in changes.items() if value is not None})
        return cls(model=model, data=data, layers=layers, seed=seed, **numbers)
