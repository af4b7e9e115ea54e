"""Training: the same net with fastconv's layers and with torch.nn's, side by side, epoch by epoch.

Layer: a user of models and data. Start with ``train``. ``Trainer`` is a run that can be inspected.
"""

from collections.abc import Sequence
from pathlib import Path

from fastconv import data, models
from fastconv.train.config import Config, TrainError
from fastconv.train.learner import Learner
from fastconv.train.processes import Place, join
from fastconv.train.results import LAYER_NAMES, EpochResult, Observer
from fastconv.train.trainer import Trainer

__all__ = [
    "LAYER_NAMES",
    "Config",
    "EpochResult",
    "Learner",
    "Observer",
    "Place",
    "TrainError",
    "Trainer",
    "join",
    "load_data",
    "train",
]


def load_data(
    config: Config, root: str | Path | None = None, download: bool = False
) -> data.Dataset:
    """The data set of ``config``, with images of the model's own size and number of channels.

    Raises:
        DataError: a file is missing or damaged, or there is no such data set or class.
    """
    channels, height, width = models.input_shape(config.model)
    return data.load(
        config.data,
        root,
        download,
        classes=config.classes or None,
        size=(height, width),
        channels=channels,
    )


def train(
    model: str = "lenet5",
    data: str = "digits",
    *,
    out: str | Path | None = None,
    root: str | Path | None = None,
    download: bool = False,
    resume: bool = False,
    device: str = "cpu",
    observers: Sequence[Observer] = (),
    **options: object,
) -> list[EpochResult]:
    """Train a model: what ``fastconv train`` does, without words and pictures.

    Args:
        model: a key of ``models.MODELS``.
        data: a name of ``data.DATASETS``.
        out: folder for checkpoint and tables; None keeps nothing.
        root: folder of the data sets; by default $FASTCONV_DATA, else ``data``.
        download: fetch the files that are missing.
        resume: go on with the run in ``out``.
        device: "cpu", "cuda" or "cuda:N".
        observers: told about every batch and epoch.
        options: fields of ``Config``, such as ``epochs``, ``lr`` or ``layers``; the recipe of the
            model or data set says the rest.

    Returns:
        one result per epoch and layer set

    Raises:
        TrainError: a wrong option, a training that diverges, a run that cannot be resumed.
        DataError: a data set that is missing or damaged.
        WriteError: ``out`` cannot be written.

    >>> history = train("lenet5", "digits", layers="fastconv", epochs=2)
    >>> [(result.epoch, result.layers) for result in history]
    [(1, 'fastconv'), (2, 'fastconv')]
    >>> history[1].train_loss < history[0].train_loss
    True
    """
    config = Config.for_data(data, model=model, **options)
    with join(device) as place:
        with place.leader_first():
            dataset = load_data(config, root, download)
        return Trainer(config, dataset, out, resume=resume, place=place).fit(*observers)
