"""The checkpoint of a run: plain numbers, strings and tensors in one file, replaced as a whole.

Layer: below train; torch and the models.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fastconv import models
from fastconv.data.files import write_atomically
from fastconv.train.config import Config, TrainError

FORMAT = "fastconv checkpoint 2"
# What the checkpoint of a run holds besides its format.
FIELDS = {"config": dict, "dataset": dict, "epochs_done": int, "history": list, "learners": dict}
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


def load(path: Path, fields: dict[str, type] = FIELDS, advice: str = AFRESH) -> dict[str, Any]:
    """What ``save`` wrote to ``path``, which must have ``fields``, name: type.

    Raises:
        TrainError: no such file, or damaged, or not such a checkpoint.
        PermissionError: the file may not be read.
    """
    if not path.is_file():
        raise TrainError(f"{path} is missing: {advice}")
    state = read(path, advice)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise damaged(path, advice)
    if not all(isinstance(state.get(name), kind) for name, kind in fields.items()):
        raise damaged(path, advice)
    return state


def damaged(path: Path, advice: str) -> TrainError:
    """The error for a checkpoint whose content cannot be used."""
    return TrainError(f"{path} is damaged or not a checkpoint of this version: {advice}")


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
    advice = "give the checkpoint.pt that fastconv train has written"
    path = path_in(path) if Path(path).is_dir() else Path(path)
    state = load(path, advice=advice)
    layers = layers or next(iter(state["learners"]), None)
    if layers not in state["learners"]:
        trained = ", ".join(state["learners"])
        raise TrainError(f"{path} holds no model with the layers {layers}, only {trained}")
    try:
        about = state["dataset"]
        channels, height, width = about["input_shape"]
        model = models.build(
            state["config"]["model"],
            layers=layers,
            num_classes=len(about["classes"]),
            in_channels=channels,
        )
        model.load_state_dict(state["learners"][layers]["model"])
        return Trained(
            model=model.eval(),
            layers=layers,
            config=Config(**state["config"]),
            classes=tuple(about["classes"]),
            mean=about["mean"],
            std=about["std"],
            input_shape=(channels, height, width),
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise damaged(path, advice) from error
