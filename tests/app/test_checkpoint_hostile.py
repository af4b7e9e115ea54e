"""Checkpoints from elsewhere: whatever a field holds, loading works or ends in one sentence."""

import copy
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import training
from commands import error_of

from fastconv import models
from fastconv.cli import console, main
from fastconv.train import Trainer, checkpoint, transfer
from fastconv.train.checkpoint import path_in
from fastconv.train.config import Config, TrainError

LONGEST = 400  # characters of a sentence, beside the file's name
HOSTILE = {
    "None": None,
    "list": [],
    "dict": {},
    "empty string": "",
    "large": 10**30,
    "larger": 10**600,
    "negative": -1,
    "nan": math.nan,
    "long string": "x" * 100_000,
    "lines": "a\n\x1b[2J",
    "bytes": b"\x00..",
    "nested list": [[[[1], 2], [[3]]]],
    "tensor": torch.zeros(3),
    "meta tensor": torch.empty(3, device="meta"),
    "tensor with gradient": torch.ones(1, requires_grad=True),
    "sparse tensor": torch.eye(3).to_sparse(),
}
Key = tuple[Any, ...]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Config, dict]:
    """A run after the first of two epochs: its config, and what its checkpoint holds."""
    options = {"optimizer": "adamw", "schedule": "onecycle", "layers": "fastconv", "epochs": 2}
    config, out = training.config(**options), tmp_path_factory.mktemp("run")
    trainer = Trainer(config, training.noise(), out)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(training.StopAfter(epoch=1))
    return config, torch.load(path_in(out), weights_only=True)


def places(state: object, key: Key = ()) -> Iterator[Key]:
    """The keys of every value in ``state``, from the outermost; two of a kind stand for all."""
    if key:
        yield key
    if isinstance(state, dict):
        few = key[-1:] in {("model",), ("state",)} or "param_groups" in key
        kept = list(state)[:2] if few else state
        for name in kept:
            yield from places(state[name], (*key, name))
    elif isinstance(state, list | tuple):
        for index in range(min(len(state), 2)):
            yield from places(state[index], (*key, index))


def changed(state: dict, key: Key, value: object) -> dict:
    state = copy.deepcopy(state)
    inner = state
    for name in key[:-1]:
        if isinstance(inner[name], tuple):
            inner[name] = list(inner[name])
        inner = inner[name]
    inner[key[-1]] = value
    return state


def outcome(path: Path, load) -> str | None:
    """The sentence in which ``load`` has ended, if not well."""
    try:
        load()
    except TrainError as error:
        assert "\n" not in str(error) and str(error).isprintable()
        assert len(str(error)) - len(str(path)) < LONGEST, error
        assert str(path) in str(error)
        return str(error)
    return None


def shown(path: Path) -> None:
    trained = checkpoint.load_model(path)
    image = torch.zeros(1, *trained.input_shape) - trained.mean.view(-1, 1, 1)
    assert trained.model(image / trained.std.view(-1, 1, 1)).shape == (1, 10)
    assert all(name.isprintable() for name in trained.classes)


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_any_value_in_any_place(run, tmp_path: Path, monkeypatch, hostile: object):
    """Shown, started from, and resumed and trained on."""
    config, state = run
    path, model = path_in(tmp_path), models.build("lenet5")
    ways = {
        "show": lambda: shown(path),
        "start": lambda: transfer.start_from(model, path, "fastconv"),
        "resume": lambda: console.summary(
            Trainer(config, training.noise(), tmp_path, resume=True).fit()
        ),
    }
    path.touch()
    refused = dict.fromkeys(ways, 0)
    for key in places(state):
        content = changed(state, key, hostile)
        monkeypatch.setattr(checkpoint, "read", lambda *_, content=content: content)
        for name, way in ways.items():
            refused[name] += outcome(path, way) is not None
    assert min(refused.values()) > 30


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_any_value_in_a_file(run, tmp_path: Path, hostile: object):
    """What the test above does without files: torch.load does not stumble over it either."""
    path, places = path_in(tmp_path), [("config", "lr"), ("dataset", "mean"), ("history",)]
    for key in places:
        torch.save(changed(run[1], key, hostile), path)
        outcome(path, lambda: checkpoint.load_model(path))
        assert checkpoint.read(path, "").keys() == run[1].keys()


def test_what_is_missing_is_named(run, tmp_path: Path):
    path = path_in(tmp_path)
    for name in ("config", "dataset", "epochs_done", "history", "learners"):
        state = {**run[1]}
        del state[name]
        torch.save(state, path)
        wanted = f"Object missing required field `{name}`"
        assert wanted in outcome(path, lambda: checkpoint.load_model(path))
    state = copy.deepcopy(run[1])
    del state["learners"]["fastconv"]["model"]["features.0.bias"]
    torch.save(state, path)
    assert "model.features.0.bias: " in outcome(path, lambda: checkpoint.load_model(path))


@pytest.mark.parametrize(
    "key, value, words",
    [
        (("config", "classes"), 2, "Expected `array`, got `int` - at `$.config.classes`"),
        (("config", "epochs"), [2], "Expected `int`, got `array` - at `$.config.epochs`"),
        (("config", "model"), "x" * 100_000, "model is 'xxxxxx"),
        (("dataset", "classes", 0), 7, "Expected `str`, got `int` - at `$.dataset.classes[0]`"),
        (("dataset", "mean"), torch.empty(1, device="meta"), "at `$.dataset.mean`"),
        (("dataset", "input_shape"), (1, 0, 2), "at `$.dataset.input_shape[1]`"),
        (("dataset", "input_shape"), (1, 2, 2), "Kernel size can't be greater than"),
        (("history", 0, "seconds"), None, "Expected `float`, got `null` - at `$.history[0].sec"),
        (("history", 0, "layers"), "torch", "history does not fit the layers"),
        (("learners", "fastconv", "optimizer"), 3, "at `$.learners[...].optimizer`"),
    ],
    ids=lambda part: ".".join(map(str, part)) if isinstance(part, tuple) else None,
)
def test_the_field_is_named(run, tmp_path: Path, key: Key, value: object, words: str):
    path = path_in(tmp_path)
    torch.save(changed(run[1], key, value), path)
    assert words in outcome(path, lambda: checkpoint.load_model(path))


def test_statistics_with_a_gradient_are_numbers(run, tmp_path: Path):
    mean = run[1]["dataset"]["mean"].clone().requires_grad_()
    torch.save(changed(run[1], ("dataset", "mean"), mean), path_in(tmp_path))
    trained = checkpoint.load_model(tmp_path)
    assert torch.equal(trained.mean, mean) and not trained.mean.requires_grad


def test_command_ends_in_one_line(run, tmp_path: Path, capsys):
    torch.save(changed(run[1], ("config", "classes"), ["x" * 100_000]), path_in(tmp_path))
    assert main(["show", str(tmp_path), "test:0"]) == 1
    assert len(error_of(capsys)) < LONGEST


def test_weights_that_are_not_finite(run, tmp_path: Path, capsys):
    key = ("learners", "fastconv", "model", "features.0.weight")
    torch.save(changed(run[1], key, torch.full((6, 1, 5, 5), math.nan)), path_in(tmp_path))
    assert main(["show", str(tmp_path), "china.jpg"]) == 1
    assert "no answer to china.jpg, its outputs are not finite" in error_of(capsys)


def test_checkpoint_of_an_earlier_version(run, tmp_path: Path):
    """It also held the state of the schedule, and lacked options that came later."""
    state = copy.deepcopy(run[1])
    state["learners"]["fastconv"]["schedule"] = {"last_epoch": 1, "_last_lr": [0.1]}
    del state["config"]["freeze"], state["config"]["crop_padding"]
    torch.save(state, path_in(tmp_path))
    assert checkpoint.load_model(tmp_path).config == run[0]
    assert Trainer(run[0], training.noise(), tmp_path, resume=True).epochs_done == 1


def test_missing_package(run, tmp_path: Path, capsys, monkeypatch):
    torch.save(run[1], path_in(tmp_path))
    monkeypatch.delitem(sys.modules, "fastconv.train.schema", raising=False)
    monkeypatch.setitem(sys.modules, "msgspec", None)
    assert main(["show", str(tmp_path), "test:0"]) == 1
    assert "msgspec is not installed: pip install fastconv[train]" in error_of(capsys)
