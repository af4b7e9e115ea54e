"""Models and the training loop. Public names only."""

import csv
import dataclasses
from pathlib import Path

import pytest
import torch

from fastconv import data, models
from fastconv.config import RECIPES, Config, TrainError
from fastconv.train import EpochResult, Observer, Trainer


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits")


@pytest.fixture(scope="module")
def few_digits(digits: data.Dataset) -> data.Dataset:
    """A dataset of 200 + 100 images; 200 is not a multiple of the batch size."""
    return dataclasses.replace(
        digits,
        train_images=digits.train_images[:200],
        train_labels=digits.train_labels[:200],
        test_images=digits.test_images[:100],
        test_labels=digits.test_labels[:100],
    )


def config(**changes) -> Config:
    return Config.for_data("digits", model="lenet5", **{"epochs": 3, **changes})


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {
        f"{layers}.{name}": tensor
        for layers, learner in trainer.learners.items()
        for name, tensor in learner.model.state_dict().items()
    }


def assert_same_weights(a: Trainer, b: Trainer) -> None:
    ours, theirs = weights(a), weights(b)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def without_times(history: list[EpochResult]) -> list[EpochResult]:
    return [dataclasses.replace(r, seconds=0.0, images_per_second=0.0) for r in history]


class StopAfter(Observer):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.last = epoch

    def batch(self, epoch: int, layers: str, images: int, loss: float, accuracy: float) -> None:
        if epoch > self.last:
            raise KeyboardInterrupt


@pytest.mark.parametrize("layers", models.LAYER_SETS)
def test_lenet5_parameters_and_shapes(layers: str):
    net = models.build("lenet5", layers=layers)
    assert sum(parameter.numel() for parameter in net.parameters()) == 61_706
    assert net(torch.zeros(3, 1, 32, 32)).shape == (3, 10)
    colour = models.build("lenet5", layers=layers, num_classes=7, in_channels=3)
    assert colour(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_layer_sets_give_the_same_weights_but_their_own_layers():
    nets = {}
    for layers in models.LAYER_SETS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            nets[layers] = models.build("lenet5", layers=layers)
        chosen = models.layer_set(layers)
        assert sum(type(m) is chosen.Conv2d for m in nets[layers].modules()) == 2
        assert sum(type(m) is chosen.MaxPool2d for m in nets[layers].modules()) == 2
    ours, theirs = (net.state_dict() for net in nets.values())
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_unknown_names():
    with pytest.raises(ValueError, match="lenet6.*lenet5"):
        models.build("lenet6")
    with pytest.raises(ValueError, match="numpy.*fastconv, torch"):
        models.build("lenet5", layers="numpy")


def test_every_data_set_has_a_recipe():
    assert RECIPES.keys() == data.LOADERS.keys()


@pytest.mark.parametrize(
    "field, value",
    [
        ("model", "lenet6"),
        ("layers", "numpy"),
        ("epochs", 0),
        ("batch_size", 0),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("seed", -1),
        ("seed", 2**32),
    ],
)
def test_config_refuses(field: str, value):
    with pytest.raises(TrainError, match=field):
        dataclasses.replace(config(), **{field: value})


def test_four_epochs_of_digits(digits: data.Dataset, tmp_path: Path):
    """95 % after four epochs with either layers, which see the same batches."""
    generator = torch.get_rng_state()
    history = Trainer(config(epochs=4), digits, tmp_path).fit()
    assert torch.equal(torch.get_rng_state(), generator)

    assert [(r.epoch, r.layers) for r in history] == [
        (epoch, layers) for epoch in (1, 2, 3, 4) for layers in ("fastconv", "torch")
    ]
    for result in history[-2:]:
        assert result.test_accuracy > 0.95
    for result in history:
        assert result.images_per_second == pytest.approx(1438 / result.seconds)
    # Before rounding errors have grown, the two nets are the same.
    assert history[0].train_loss == pytest.approx(history[1].train_loss, rel=1e-3)

    with open(tmp_path / "metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [EpochResult(**parse(row)) for row in rows] == history


def parse(row: dict[str, str]) -> dict[str, int | str | float]:
    """A row of metrics.csv with its types."""
    numbers = {name: float(text) for name, text in row.items() if name not in ("epoch", "layers")}
    return {"epoch": int(row["epoch"]), "layers": row["layers"], **numbers}


def test_layer_sets_take_turns_at_being_first(few_digits: data.Dataset, tmp_path: Path):
    order = []

    class Record(Observer):
        def epoch(self, result: EpochResult) -> None:
            order.append(result.layers)

    Trainer(config(epochs=2), few_digits, tmp_path).fit(Record())
    assert order == ["fastconv", "torch", "torch", "fastconv"]


@pytest.mark.parametrize("layers", ["fastconv", "torch"])
def test_one_layer_set_alone_does_as_in_company(
    few_digits: data.Dataset, tmp_path: Path, layers: str
):
    both = Trainer(config(), few_digits, tmp_path / "both")
    alone = Trainer(config(layers=layers), few_digits, tmp_path / "alone")
    both.fit()
    alone.fit()
    assert list(alone.learners) == [layers]
    for name, tensor in weights(alone).items():
        assert torch.equal(tensor, weights(both)[name])


def test_resume_equals_no_interruption(few_digits: data.Dataset, tmp_path: Path):
    whole = Trainer(config(), few_digits, tmp_path / "whole")
    whole.fit()

    stopped = Trainer(config(), few_digits, tmp_path / "parts")
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(StopAfter(epoch=1))
    resumed = Trainer(config(), few_digits, tmp_path / "parts", resume=True)
    assert resumed.epochs_done == 1
    assert resumed.history == stopped.history
    resumed.fit()

    assert_same_weights(resumed, whole)
    assert without_times(resumed.history) == without_times(whole.history)
    for layers, learner in whole.learners.items():
        ours = resumed.learners[layers].optimizer.state_dict()["state"]
        for index, state in learner.optimizer.state_dict()["state"].items():
            assert torch.equal(state["momentum_buffer"], ours[index]["momentum_buffer"])


def test_seed_decides_the_outcome(few_digits: data.Dataset, tmp_path: Path):
    runs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        runs.append(Trainer(config(seed=seed, epochs=1), few_digits, tmp_path / name))
        runs[-1].fit()
    assert_same_weights(runs[0], runs[1])
    assert not torch.equal(
        weights(runs[0])["torch.features.0.weight"], weights(runs[2])["torch.features.0.weight"]
    )


def test_divergence_is_an_error(few_digits: data.Dataset, tmp_path: Path):
    broken = dataclasses.replace(few_digits, train_images=few_digits.train_images * float("nan"))
    with pytest.raises(TrainError, match="nan in epoch 1"):
        Trainer(config(), broken, tmp_path).fit()
