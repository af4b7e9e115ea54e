"""What the checkpoint of a run holds, name by name. A file is checked here when it is read.

Layer: beside ``checkpoint``, which imports it when it reads; needs msgspec.
"""

import math
from dataclasses import astuple, dataclass
from typing import Annotated, Any, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor

from fastconv.train.config import Config
from fastconv.train.results import EpochResult

Extent = Annotated[int, Meta(ge=1, le=4096)]
ClassName = Annotated[str, Meta(max_length=255)]


@dataclass(frozen=True)
class Images:
    """The data set of the run, without its images; ``Dataset`` has the meaning of the fields."""

    name: ClassName
    classes: Annotated[tuple[ClassName, ...], Meta(min_length=1)]
    mean: Tensor
    std: Tensor
    input_shape: tuple[Extent, Extent, Extent]

    def __post_init__(self) -> None:
        if not all(name.isprintable() for name in (self.name, *self.classes)):
            raise ValueError("a name holds unprintable characters")
        for name in ("mean", "std"):
            found = getattr(self, name)
            like(torch.empty(self.input_shape[0]), found, name)
            if not found.isfinite().all():
                raise ValueError(f"{name} is not finite")


@dataclass(frozen=True)
class OptimizerState:
    """What torch's optimiser keeps for each parameter."""

    state: dict[int, dict[str, Any]]


@dataclass(frozen=True)
class LearnerState:
    """A learner; its own shapes say the rest (``Learner.restore``)."""

    model: dict[str, Tensor]
    optimizer: OptimizerState
    steps: Tensor
    confusion: Tensor


@dataclass(frozen=True)
class Checkpoint:
    """The whole of it."""

    config: Config
    dataset: Images
    epochs_done: Annotated[int, Meta(ge=0)]
    history: list[EpochResult]
    learners: dict[Literal["fastconv", "torch"], LearnerState]

    def __post_init__(self) -> None:
        names = self.config.layer_sets
        if set(self.learners) != set(names):
            raise ValueError("the learners are not those of the config")
        if len(self.history) != self.epochs_done * len(names):
            raise ValueError("the history does not fit the number of epochs")
        turns = [(r.epoch, r.layers) for r in self.history]
        if turns != [(1 + i // len(names), names[i % len(names)]) for i in range(len(turns))]:
            raise ValueError("the history does not fit the layers")
        numbers = [value for r in self.history for value in astuple(r)[2:]]
        if not all(0 <= n < math.inf for n in numbers) or any(r.seconds == 0 for r in self.history):
            raise ValueError("the history holds numbers that no training yields")


class Held:
    """A tensor on its way through msgspec, which takes a bare one for a mapping."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def convert(found: object, kind: Any) -> Any:
    """``found``, which came from a file, as a ``kind``; tensors without their gradients.

    Raises:
        ValueError: it is none; the message is one line that names the field.
        TrainError: a config out of range.
    """
    try:
        return msgspec.convert(_held(found), kind, dec_hook=_tensor)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _held(found: object) -> object:
    if isinstance(found, Tensor):
        return Held(found)
    if isinstance(found, dict):
        return {key: _held(value) for key, value in found.items()}
    return [_held(value) for value in found] if isinstance(found, list | tuple) else found


def _tensor(kind: type, found: object) -> Tensor:
    if not isinstance(found, Held):
        raise ValueError(f"Expected a tensor, got `{type(found).__name__}`")
    tensor = found.tensor
    if tensor.layout is not torch.strided or tensor.is_nested or tensor.device.type != "cpu":
        raise ValueError("Expected a dense tensor with its numbers")
    return tensor.detach()


def like(wanted: object, found: object, name: str) -> Any:
    """``found`` if it is built as ``wanted``: the same keys, and tensors of the same shapes.

    A value of None may also be missing.

    Raises:
        ValueError: it is not; the message is one line that begins with the ``name`` of the part.
    """
    if isinstance(wanted, dict):
        if not isinstance(found, dict) or not found.keys() <= wanted.keys():
            raise ValueError(f"{name} does not have the names of this model")
        return {key: like(one, found.get(key), f"{name}.{key}") for key, one in wanted.items()}
    if isinstance(wanted, Tensor):
        try:
            tensor = convert(found, Tensor)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        if (tensor.shape, tensor.dtype) != (wanted.shape, wanted.dtype):
            raise ValueError(f"{name} is not {wanted.dtype} of the shape {tuple(wanted.shape)}")
        return tensor
    if type(found) is not type(wanted):
        raise ValueError(f"{name} is not a {type(wanted).__name__}")
    return found
