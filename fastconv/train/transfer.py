"""Transfer learning: loads weights as far as they fit, and freezes parts of a model.

Layer: below the learner.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from fastconv.data.words import brief
from fastconv.train import checkpoint
from fastconv.train.config import TrainError

SHOWN = 6  # names in a note
ADVICE = "give a checkpoint of fastconv or a state_dict that torch.save has written"


def start_from(model: nn.Module, path: str | Path, layers: str) -> str:
    """Copy into ``model`` what fits of a checkpoint of ours or of a plain ``state_dict`` file.

    A name fits that both have with the same shape; so the last layer of a net for other classes
    keeps its fresh weights.

    Args:
        layers: of a checkpoint of ours, the layer set whose weights to take, else the first.

    Returns:
        one sentence: how many were taken, and which were not

    Raises:
        TrainError: no such file, no weights in it, or none that fits.
    """
    weights = _weights(Path(path), layers)
    own = model.state_dict()
    fitting = {
        name: tensor
        for name, tensor in weights.items()
        if name in own and own[name].shape == tensor.shape
    }
    if not fitting:
        raise TrainError(f"{path} has no weight that fits the model: give the file of such a model")
    try:
        model.load_state_dict(fitting, strict=False)
    except RuntimeError as error:  # numbers of a kind that cannot be converted
        raise checkpoint.damaged(path, ADVICE, error) from error
    parts = [f"{len(fitting)} of {len(own)} tensors from {path}"]
    for names, what in (
        (
            [name for name in own if name in weights and name not in fitting],
            "of another shape there",
        ),
        ([name for name in own if name not in weights], "not there"),
    ):
        if names:
            parts.append(f"fresh ({what}): {_listing(names)}")
    unused = [name for name in weights if name not in own]
    if unused:
        parts.append(f"not used: {_listing(unused)}")
    return "; ".join(parts)


def _weights(path: Path, layers: str) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise TrainError(f"{path} to start from is missing: {ADVICE}")
    state = checkpoint.read(path, ADVICE)
    if checkpoint.is_run(state):
        learners = checkpoint.load(path, ADVICE).learners
        return (learners.get(layers) or next(iter(learners.values()))).model
    return checkpoint.convert(state, dict[str, torch.Tensor], path, ADVICE)


def _listing(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(brief, names[:SHOWN])) + more


def freeze(model: nn.Module, prefixes: Sequence[str]) -> list[nn.Module]:
    """Take what lies under ``prefixes`` (dotted names, whole parts) out of training.

    Returns:
        the modules under them, to be kept in evaluation mode: their batch norms keep their
        statistics, their dropout is off

    Raises:
        TrainError: nothing has such a name, or nothing is left to train.
    """
    parameters = dict(model.named_parameters())
    for prefix in prefixes:
        frozen = [name for name in parameters if _under(name, prefix)]
        if not frozen:
            parts = ", ".join(dict.fromkeys(name.partition(".")[0] for name in parameters))
            raise TrainError(f"nothing to freeze is called {prefix}: the model consists of {parts}")
        for name in frozen:
            parameters[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise TrainError(f"freeze {', '.join(prefixes)} leaves nothing to train: freeze less")
    return [
        module
        for name, module in model.named_modules()
        if any(_under(name, prefix) for prefix in prefixes)
    ]


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")
