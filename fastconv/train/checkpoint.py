"""The checkpoint of a run: plain numbers, strings and tensors in one file, replaced as a whole.

Layer: below train; torch and the models, and ``schema`` when a file is read.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from fastconv import models
from fastconv.data.files import write_atomically
from fastconv.data.words import brief
from fastconv.train.config import Config, TrainError

if TYPE_CHECKING:
    from fastconv.train.schema import Checkpoint

FORMAT = "fastconv checkpoint 2"
AFRESH = "leave out --resume to start anew"


def path_in(out: str | Path) -> Path:
    """The checkpoint of the run in the folder ``out``."""
    return Path(out) / "checkpoint.pt"


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, lists, dicts) to ``path`` atomically.

    Raises:
        WriteError: the file cannot be written; an earlier one is still intact.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    write_atomically(path, buffer.getvalue())


def read(path: Path, advice: str) -> Any:
    """What ``torch.save`` wrote to ``path``, on the CPU.

    Loaded with ``weights_only``, so a file from elsewhere can hold wrong numbers but no code.

    Raises:
        TrainError: damaged, or more than tensors and plain values; the sentence ends in ``advice``.
        PermissionError: the file may not be read.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except Exception as error:  # a damaged file makes torch.load raise nearly anything
        raise damaged(path, advice) from error


def load(path: Path, advice: str = AFRESH) -> "Checkpoint":
    """The checkpoint of a run at ``path``, every name of it checked.

    Raises:
        TrainError: no such file, or damaged, or not such a checkpoint.
        PermissionError: the file may not be read.
    """
    from fastconv.train.schema import Checkpoint

    if not path.is_file():
        raise TrainError(f"{path} is missing: {advice}")
    state = read(path, advice)
    if not is_run(state):
        raise damaged(path, advice)
    return convert(state, Checkpoint, path, advice)


def is_run(state: object) -> bool:
    """Whether ``read`` has found the checkpoint of a run."""
    return isinstance(state, dict) and state.get("format") == FORMAT


def convert(state: object, kind: Any, path: Path, advice: str) -> Any:
    """What ``read`` has found as a ``kind``: a class of ``schema``, or dict[str, Tensor].

    Raises:
        TrainError: it is none; the sentence names the field.
    """
    from fastconv.train import schema

    try:
        return schema.convert(state, kind)
    except (TrainError, ValueError) as error:
        raise damaged(path, advice, error) from error


def damaged(path: str | Path, advice: str, reason: object = "") -> TrainError:
    """The error for a checkpoint whose content cannot be used."""
    why = f" ({brief(reason, longest=200)})" if reason else ""
    return TrainError(f"{path} is damaged or not a checkpoint of this version{why}: {advice}")


@dataclass(frozen=True)
class Trained:
    """A trained model and what it was trained on.

    Attributes:
        model: in evaluation mode, on the CPU.
        layers: the layer set it is built with, "fastconv" or "torch".
        config: of the run.
        classes: the name of each output.
        mean, std: (IC,), of the training images scaled to 0 .. 1.
        input_shape: (IC, IH, IW).
    """

    model: nn.Module
    layers: str
    config: Config
    classes: tuple[str, ...]
    mean: torch.Tensor
    std: torch.Tensor
    input_shape: tuple[int, int, int]


def load_model(path: str | Path, layers: str | None = None) -> Trained:
    """The model in the checkpoint of a run.

    Args:
        path: the checkpoint, or the folder of the run.
        layers: the layer set that was trained, by default the first of the run.

    Raises:
        TrainError: no such file, damaged, not of a run, or the run had no such layers.
        PermissionError: the file may not be read.
    """
    from fastconv.train.schema import like

    advice = "give the checkpoint.pt that fastconv train has written"
    path = path_in(path) if Path(path).is_dir() else Path(path)
    state = load(path, advice)
    layers = layers or next(iter(state.learners))
    if layers not in state.learners:
        trained = ", ".join(state.learners)
        raise TrainError(f"{path} holds no model with the layers {layers}, only {trained}")
    about = state.dataset
    try:
        model = _build(state.config.model, layers, len(about.classes), about.input_shape)
        like(model.state_dict(), state.learners[layers].model, "model")
    except (ValueError, RuntimeError) as error:
        raise damaged(path, advice, error) from error
    model.to_empty(device="cpu").load_state_dict(state.learners[layers].model)
    return Trained(
        model=model.eval(),
        layers=layers,
        config=state.config,
        classes=about.classes,
        mean=about.mean,
        std=about.std,
        input_shape=about.input_shape,
    )


def _build(name: str, layers: str, classes: int, input_shape: tuple[int, int, int]) -> nn.Module:
    """The model without numbers, which has been seen to take images of ``input_shape``.

    Raises:
        ValueError, RuntimeError: it does not take them.
    """
    with torch.device("meta"), torch.no_grad():
        model = models.build(
            name, layers=layers, num_classes=classes, in_channels=input_shape[0]
        ).eval()
        model(torch.empty(1, *input_shape))
    return model
