"""The training loop: what it learns, reports and repeats. Public names only."""

import csv
import dataclasses
import doctest
import math
from pathlib import Path

import pytest
import torch
from training import (
    StopAfter,
    assert_same_weights,
    config,
    digits,
    few_digits,
    learner,
    noise,
    trained,
    weights,
    without_times,
)

import fastconv.train
from fastconv import data
from fastconv.train import EpochResult, Observer, Trainer, TrainError, train
from fastconv.train.evaluate import accuracy, class_accuracies, confusion_matrix
from fastconv.train.processes import Place


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_four_epochs_of_digits(tmp_path: Path):
    """95 % after four epochs with either layers, which see the same batches."""
    generator = torch.get_rng_state()
    trainer = Trainer(config(epochs=4), digits(), tmp_path)
    history = trainer.fit()
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

    assert [EpochResult(**parse(row)) for row in rows(tmp_path / "metrics.csv")] == history
    assert_tables_agree(trainer)


def parse(row: dict[str, str]) -> dict[str, int | str | float]:
    """A row of metrics.csv with its types."""
    numbers = {name: float(text) for name, text in row.items() if name not in ("epoch", "layers")}
    return {"epoch": int(row["epoch"]), "layers": row["layers"], **numbers}


def assert_tables_agree(trainer: Trainer) -> None:
    """steps.csv and classes.csv say what the history says."""
    steps, classes = rows(trainer.out / "steps.csv"), rows(trainer.out / "classes.csv")
    assert [row["class"] for row in classes] == list(trainer.dataset.classes)
    per_class = trainer.dataset.test.labels.bincount()
    for result in trainer.history[-2:]:
        losses = [float(row["loss"]) for row in steps if row["layers"] == result.layers]
        assert len(losses) == trainer.total_steps
        last = torch.tensor(losses[-trainer.steps_per_epoch :], dtype=torch.float64)
        sizes = torch.full_like(last, trainer.config.batch_size)
        sizes[-1] = len(trainer.dataset.train) - sizes[:-1].sum()
        assert result.train_loss == pytest.approx((last @ sizes / sizes.sum()).item(), rel=1e-9)
        right = sum(
            count * float(row[result.layers])
            for count, row in zip(per_class.tolist(), classes, strict=True)
        )
        assert result.test_accuracy == pytest.approx(right / per_class.sum().item(), rel=1e-9)


def test_layer_sets_take_turns_at_being_first(tmp_path: Path):
    order = []

    class Record(Observer):
        def epoch(self, result: EpochResult) -> None:
            order.append(result.layers)

    Trainer(config(epochs=2), few_digits(), tmp_path).fit(Record())
    assert order == ["fastconv", "torch", "torch", "fastconv"]


@pytest.mark.parametrize("layers", ["fastconv", "torch"])
def test_one_layer_set_alone_does_as_in_company(tmp_path: Path, layers: str):
    both = Trainer(config(), few_digits(), tmp_path / "both")
    alone = Trainer(config(layers=layers), few_digits(), tmp_path / "alone")
    both.fit()
    alone.fit()
    assert list(alone.learners) == [layers]
    for name, tensor in weights(alone).items():
        assert torch.equal(tensor, weights(both)[name])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "adamw", "schedule": "onecycle", "mixup": 0.3, "augment": ("crop", "flip")},
        {"schedule": "step", "step_size": 1, "warmup": 1.5, "max_steps": 17},
    ],
    ids=["recipe", "adamw, onecycle, mixup, augment", "warmup, step, max_steps"],
)
def test_resume_equals_no_interruption(tmp_path: Path, options: dict):
    whole = Trainer(config(**options), few_digits(), tmp_path / "whole")
    whole.fit()

    stopped = Trainer(config(**options), few_digits(), tmp_path / "parts")
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(StopAfter(epoch=1))
    resumed = Trainer(config(**options), few_digits(), tmp_path / "parts", resume=True)
    assert resumed.epochs_done == 1
    assert resumed.history == stopped.history
    resumed.fit()

    assert_same_weights(resumed, whole)
    assert without_times(resumed.history) == without_times(whole.history)
    for name in ("steps.csv", "classes.csv"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    for layers, one in whole.learners.items():
        assert torch.equal(one.confusion, resumed.learners[layers].confusion)
        ours = resumed.learners[layers].optimizer.state_dict()["state"]
        for index, state in one.optimizer.state_dict()["state"].items():
            assert all(torch.equal(torch.as_tensor(ours[index][k]), torch.as_tensor(state[k]))
                       for k in state)  # fmt: skip


def test_seed_decides_the_outcome(tmp_path: Path):
    runs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        runs.append(Trainer(config(seed=seed, epochs=1), few_digits(), tmp_path / name))
        runs[-1].fit()
    assert_same_weights(runs[0], runs[1])
    assert not torch.equal(
        weights(runs[0])["torch.features.0.weight"], weights(runs[2])["torch.features.0.weight"]
    )


def test_divergence_is_an_error():
    with pytest.raises(TrainError, match="torch layers became (nan|inf) in epoch 1"):
        trained(lr=1e38, epochs=1)


@pytest.mark.parametrize(
    "options, guessed",
    [
        ({"lr": 1e30}, 2.3),  # the log of 10 classes
        ({"lr": 10.0}, 2.3),
        ({"lr": 1e30, "classes": ("1", "7")}, 0.693),
        ({"lr": 5.0, "loss": "mse", "momentum": 0.0, "max_steps": 8}, 0.1),
    ],
    ids=str,
)
def test_finite_divergence_is_an_error(options: dict, guessed: float):
    """Whatever the accuracy, which with lr 1e30 is up to 39 %: large weights still rank classes."""
    dataset = data.load("digits", classes=options.get("classes"))
    words = (
        rf"torch layers is .* in the second half of epoch 1, more than 10 times .* \({guessed}\)"
    )
    with pytest.raises(TrainError, match=words):
        trained(dataset, **options)


def test_divergence_leaves_the_epochs_before(tmp_path: Path):
    """A rate that is too high in the end."""
    options = {"lr": 3.0, "momentum": 0.0, "schedule": "onecycle", "warmup": 2.5, "epochs": 3}
    trainer = Trainer(config(**options), few_digits(), tmp_path)
    with pytest.raises(TrainError, match="half of epoch 3"):
        trainer.fit()
    assert trainer.epochs_done == 2
    saved = Trainer(config(**options), few_digits(), tmp_path, resume=True)
    assert saved.epochs_done == 2
    assert all(tensor.isfinite().all() for tensor in weights(saved).values())


def test_a_large_first_loss_is_no_divergence():
    """Nor is one of a single class, whose guess costs nothing."""
    one = learner(max_steps=1)
    with torch.no_grad():
        for parameter in one.model.parameters():
            parameter *= 40
    one.train_epoch(1, Observer())
    assert one.steps[0, 0] > 10 * math.log(10)
    for loss in ("cross-entropy", "mse"):
        dataset = data.load("digits", classes=("5",))
        assert trained(dataset, classes=("5",), loss=loss, epochs=1).confusion.trace() > 0


def test_max_steps_cut_the_run_short(tmp_path: Path):
    trainer = Trainer(config(max_steps=10, layers="torch"), few_digits(), tmp_path)
    history = trainer.fit()  # 7 steps an epoch
    assert [result.epoch for result in history] == [1, 2]
    learner = trainer.learners["torch"]
    assert len(learner.steps) == 10
    assert learner.steps[9, 1] < 0.03 * learner.steps[0, 1]  # the cosine ends with the run
    assert history[1].images_per_second == pytest.approx(3 * 32 / history[1].seconds)
    whole = trained(max_steps=10, epochs=2)
    assert torch.equal(whole.steps, learner.steps)


def test_confusion_matrix_counts_every_image():
    """Against a plain loop, in batches of less than all images."""
    learner = trained(epochs=1)
    split = learner.dataset.train
    matrix = confusion_matrix(learner.model, learner.dataset, split, Place())
    wanted = torch.zeros(10, 10, dtype=torch.int64)
    with torch.no_grad():
        for image, label in zip(split.images, split.labels, strict=True):
            answer = learner.model(learner.dataset.normalize(image.unsqueeze(0))).argmax()
            wanted[label, answer] += 1
    assert torch.equal(matrix, wanted)
    assert accuracy(matrix) == matrix.trace().item() / 200
    assert class_accuracies(matrix)[3] == wanted[3, 3].item() / wanted[3].sum().item()
    shares = [confusion_matrix(learner.model, learner.dataset, split, Alone(r)) for r in range(3)]
    assert torch.equal(sum(shares), matrix)


class Alone(Place):
    """One of three processes, which sees its own share only."""

    def __init__(self, rank: int) -> None:
        super().__init__(rank=rank, size=3)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return values


def test_train_does_what_the_command_does(tmp_path: Path):
    options = dict(layers="torch", epochs=1, classes=("3", "7", "1"))
    history = train("lenet5", "digits", out=tmp_path, **options)
    assert [(r.epoch, r.layers) for r in history] == [(1, "torch")]
    assert (tmp_path / "checkpoint.pt").exists()
    assert len(rows(tmp_path / "classes.csv")) == 3
    assert train("lenet5", "digits", out=tmp_path, resume=True, **options) == history
    with pytest.raises(TrainError, match="digit' *: choose from digits"):
        train("lenet5", "digit")
    with pytest.raises(TypeError, match="epoch"):
        train("lenet5", "digits", epoch=3)


def test_example_in_the_documentation():
    assert doctest.testmod(fastconv.train) == (0, 3)


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(train(layers="torch", max_steps=1)) == 1
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TrainError, match="without an out folder"):
        train(resume=True)


@pytest.mark.parametrize("device, words", [("tpu", "choose cpu"), ("cuda:99", "CUDA devices")])
def test_no_such_device(device: str, words: str):
    with pytest.raises(TrainError, match=words):
        train(device=device)


def test_dataset_of_another_kind_is_not_resumed(tmp_path: Path):
    Trainer(config(), noise(), tmp_path)
    other = dataclasses.replace(noise(), classes=tuple("abcdefghij"))
    with pytest.raises(TrainError, match="images of"):
        Trainer(config(), other, tmp_path, resume=True)
