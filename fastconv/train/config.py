"""The settings of a run: model, data, layers and the numbers of the optimiser, with defaults.

Layer: below train and the command line; knows the names of the models.
"""

import math
from dataclasses import asdict, dataclass

from fastconv import models
from fastconv.data.words import brief

LAYER_CHOICES = {"both": ("fastconv", "torch"), "fastconv": ("fastconv",), "torch": ("torch",)}
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}  # torch.optim
SCHEDULES = ("constant", "step", "cosine", "onecycle")
LOSSES = ("cross-entropy", "mse")
AUGMENTATIONS = ("crop", "flip")
# Where the optimiser is not SGD these take the place of the recipe's numbers.
ADAPTIVE = {"lr": 0.001, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
ADAMW_WEIGHT_DECAY = 0.01


class TrainError(RuntimeError):
    """Training cannot start or go on; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Recipe:
    """How something is trained on unless told otherwise; the fields are those of ``Config``."""

    epochs: int
    batch_size: int
    lr: float
    momentum: float = 0.9
    nesterov: bool = False
    schedule: str = "cosine"
    weight_decay: float = 0.0
    augment: tuple[str, ...] = ()


COLOUR = Recipe(
    epochs=30, batch_size=128, lr=0.02, nesterov=True, weight_decay=5e-4, augment=("crop", "flip")
)
RECIPES = {
    "digits": Recipe(epochs=20, batch_size=32, lr=0.02),
    "mnist": Recipe(epochs=5, batch_size=64, lr=0.03),
    "fashion_mnist": Recipe(epochs=10, batch_size=64, lr=0.03),
    "cifar10": COLOUR,
    "cifar100": COLOUR,
    "folder": Recipe(epochs=20, batch_size=32, lr=0.01, augment=("flip",)),
}
# Models that come with a recipe of their own, whatever the data: the published exercise, which is
# plain SGD at a constant rate on images that are normalised and nothing else.
EXERCISE = Recipe(epochs=100, batch_size=64, lr=0.01, momentum=0.0, schedule="constant")
MODEL_RECIPES = {"cifar_net": EXERCISE, "cifar_dense": EXERCISE}


@dataclass(frozen=True)
class Config:
    """Everything that decides the outcome of a run.

    Args:
        model: a key of ``models.MODELS``.
        data: the name of the data set.
        layers: "both", "fastconv" or "torch".
        epochs: passes over the training images, at least 1.
        batch_size: images per step over all processes; the last batch of an epoch may be smaller.
        lr: the highest learning rate, > 0.
        classes: keep these classes of the data set only, in this order; () keeps all.
        optimizer: "sgd", "adam", "adamw" or "rmsprop".
        momentum: of SGD and RMSprop, in [0, 1).
        nesterov: Nesterov's momentum, with SGD.
        schedule: of the learning rate, step by step: "constant"; "step", times ``gamma`` every
            ``step_size`` epochs; "cosine", down to 0 at the end; "onecycle", from lr / 25 up to
            lr and down to almost 0 (the momentum stays).
        warmup: epochs (or a part of one) over which the rate rises linearly to ``lr``; with
            "onecycle" the rising part, 0 for its usual 30 % of the run.
        step_size: epochs, by default a third of the run.
        gamma: factor of the "step" schedule, in (0, 1].
        weight_decay: the L2 penalty, with AdamW the decoupled one; at least 0.
        loss: "cross-entropy", or "mse" between the outputs and one-hot labels.
        label_smoothing: in [0, 1), with cross-entropy.
        mixup: alpha of Beta(alpha, alpha), from which the share of every mixed batch is drawn;
            0 mixes nothing.
        augment: of "crop" (after a border of ``crop_padding`` zeros) and "flip" (left to right).
        crop_padding: pixels, at least 1.
        amp: forward under bfloat16 autocast.
        channels_last: weights and images in that memory format.
        compile: through ``torch.compile``.
        init_from: a checkpoint or ``state_dict`` file the weights start from, as far as they fit.
        freeze: modules or parameters (dotted names, whole parts) that stay as they are.
        seed: for the initial weights and all that is random, in 0 .. 2**32 - 1.
        max_steps: end the run after so many steps, within an epoch if need be.

    Raises:
        TrainError: a value out of range, or two that do not go together.
    """

    model: str
    data: str
    layers: str
    epochs: int
    batch_size: int
    lr: float
    classes: tuple[str, ...] = ()
    optimizer: str = "sgd"
    momentum: float = 0.0
    nesterov: bool = False
    schedule: str = "constant"
    warmup: float = 0.0
    step_size: int | None = None
    gamma: float = 0.1
    weight_decay: float = 0.0
    loss: str = "cross-entropy"
    label_smoothing: float = 0.0
    mixup: float = 0.0
    augment: tuple[str, ...] = ()
    crop_padding: int = 4
    amp: bool = False
    channels_last: bool = False
    compile: bool = False
    init_from: str | None = None
    freeze: tuple[str, ...] = ()
    seed: int = 0
    max_steps: int | None = None

    def __post_init__(self) -> None:
        for name, choices in {
            "model": models.MODELS,
            "data": RECIPES,
            "layers": LAYER_CHOICES,
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
            "loss": LOSSES,
            "augment": AUGMENTATIONS,
        }.items():
            value = getattr(self, name)
            for one in value if isinstance(value, tuple) else (value,):
                if one not in choices:
                    known = ", ".join(choices)
                    raise TrainError(f"{name} is {brief(one, repr)}: choose from {known}")
        for name, (valid, wanted) in self._ranges().items():
            if not valid:
                raise TrainError(f"{name} is {brief(getattr(self, name))}: it must be {wanted}")

    def _ranges(self) -> dict[str, tuple[bool, str]]:
        """For each number: is it in range, and which range is that."""
        has_momentum = self.optimizer in ("sgd", "rmsprop")
        stepped = self.schedule == "step"
        smooths = self.loss == "cross-entropy"
        return {
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "lr": (0 < self.lr < math.inf, "a positive number"),
            "momentum": (
                0 <= self.momentum < 1 and (has_momentum or not self.momentum),
                "at least 0 and below 1" if has_momentum else f"0 with {self.optimizer}",
            ),
            "nesterov": (
                not self.nesterov or (self.optimizer == "sgd" and self.momentum > 0),
                "left out without sgd and a momentum",
            ),
            "warmup": (0 <= self.warmup < self.epochs, "at least 0 and below the epochs"),
            "step_size": (
                self.step_size is None or (stepped and self.step_size >= 1),
                "at least 1" if stepped else "left out without the schedule step",
            ),
            "gamma": (0 < self.gamma <= 1, "above 0 and at most 1"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "at least 0"),
            "label_smoothing": (
                0 <= self.label_smoothing < 1 and (smooths or not self.label_smoothing),
                "at least 0 and below 1" if smooths else f"0 with {self.loss}",
            ),
            "mixup": (0 <= self.mixup < math.inf, "at least 0"),
            "crop_padding": (self.crop_padding >= 1, "at least 1"),
            "seed": (0 <= self.seed < 2**32, "in 0 .. 4294967295"),
            "max_steps": (self.max_steps is None or self.max_steps >= 1, "at least 1"),
        }

    @property
    def layer_sets(self) -> tuple[str, ...]:
        """The keys of ``models.LAYER_SETS`` to train."""
        return LAYER_CHOICES[self.layers]

    @classmethod
    def for_data(
        cls, data: str, *, model: str, layers: str = "both", **changes: object
    ) -> "Config":
        """The recipe of ``model``, else of ``data``, but for the ``changes`` that are not None.

        Raises:
            TrainError: no recipe for such data, or a value out of range.
        """
        if data not in RECIPES:
            raise TrainError(f"data is {brief(data, repr)}: choose from {', '.join(RECIPES)}")
        given = {name: value for name, value in changes.items() if value is not None}
        numbers = asdict(MODEL_RECIPES.get(model) or RECIPES[data])
        if given.get("optimizer", "sgd") != "sgd":
            numbers |= ADAPTIVE
            if given["optimizer"] == "adamw":
                numbers["weight_decay"] = ADAMW_WEIGHT_DECAY
        elif given.get("momentum") == 0:
            numbers["nesterov"] = False
        return cls(model=model, data=data, layers=layers, **{**numbers, **given})

    def describe(self) -> str:
        """The recipe as people say it, without what is at its default."""
        rate = "" if self.schedule == "constant" else f", {self.schedule} schedule"
        parts = [f"{OPTIMIZERS[self.optimizer]} with lr {self.lr}{rate}"]
        if self.momentum:
            parts.append(f"{'Nesterov ' if self.nesterov else ''}momentum {self.momentum}")
        for name in ("warmup", "weight_decay", "label_smoothing", "mixup"):
            if getattr(self, name):
                parts.append(f"{name.replace('_', ' ')} {getattr(self, name)}")
        parts += self.augment
        if self.loss != "cross-entropy":
            parts.append(f"{self.loss} loss")
        parts += [
            words
            for name, words in (
                ("amp", "bfloat16 autocast"),
                ("channels_last", "channels last"),
                ("compile", "compiled"),
            )
            if getattr(self, name)
        ]
        return ", ".join(parts)
