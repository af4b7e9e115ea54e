"""The checkpoint of a run: plain numbers, strings and tensors in one file, replaced as a whole.

Layer: below train; torch only.
"""

import io
from pathlib import Path
from typing import Any

import torch

from fastconv.config import TrainError
from fastconv.files import write_atomically

FORMAT = "fastconv checkpoint 1"


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, lists, dicts) to ``path`` atomically.

    Raises:
        WriteError: the file cannot be written; an earlier one is still intact.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    write_atomically(path, buffer.getvalue())


def load(path: Path, fields: dict[str, type]) -> dict[str, Any]:
    """What ``save`` wrote to ``path``, which must have ``fields``, name: type.

    Loaded with ``weights_only``, so a file from elsewhere can hold wrong numbers but no code.

    Raises:
        TrainError: no such file, or damaged, or not such a checkpoint.
        PermissionError: the file may not be read.
    """
    if not path.is_file():
        raise TrainError(f"{path} is missing, so there is no run to resume: leave out --resume")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except Exception as error:  # a damaged file makes torch.load raise nearly anything
        raise damaged(path) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise damaged(path)
    if not all(isinstance(state.get(name), kind) for name, kind in fields.items()):
        raise damaged(path)
    return state


def damaged(path: Path) -> TrainError:
    """The error for a checkpoint whose content cannot be used."""
    return TrainError(
        f"{path} is damaged or not a checkpoint of fastconv: leave out --resume to start anew"
    )
