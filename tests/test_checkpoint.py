"""Checkpoints: whole or not at all, data only, and of the same run. Public names only."""

import errno
import os
from pathlib import Path

import pytest
import torch

from fastconv import checkpoint, data, files
from fastconv.config import Config, TrainError
from fastconv.train import Trainer, checkpoint_path


@pytest.fixture(scope="module")
def noise() -> data.Dataset:
    """20 + 10 images of noise, enough to run through everything."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(30, 1, 32, 32, generator=generator)
    labels = torch.arange(30) % 10
    return data.Dataset(
        "digits", images[:20], labels[:20], images[20:], labels[20:], data.DIGIT_NAMES
    )


def config(**changes) -> Config:
    return Config.for_data("digits", model="lenet5", **{"epochs": 1, **changes})


def test_checkpoint_is_loaded_with_weights_only(noise: data.Dataset, tmp_path: Path, monkeypatch):
    Trainer(config(), noise, tmp_path)
    real, asked = torch.load, []

    def load(*args, **kwargs):
        asked.append(kwargs.get("weights_only"))
        return real(*args, **kwargs)

    monkeypatch.setattr(torch, "load", load)
    Trainer(config(), noise, tmp_path, resume=True)
    assert asked == [True]


class Trap:
    """Pickles to a call of os.mkdir."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


BAD_CHECKPOINTS = {
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:100_000]),
    "a tensor": lambda path: torch.save(torch.zeros(3), path),
    "another program's": lambda path: torch.save({"epoch": 3}, path),
    "code": lambda path: torch.save({"format": Trap(path.with_name("trap"))}, path),
}


@pytest.mark.parametrize("damage", BAD_CHECKPOINTS.values(), ids=BAD_CHECKPOINTS.keys())
def test_bad_checkpoint(noise: data.Dataset, tmp_path: Path, damage):
    Trainer(config(), noise, tmp_path)
    path = checkpoint_path(tmp_path)
    damage(path)
    content = path.read_bytes()
    with pytest.raises(TrainError) as error:
        Trainer(config(), noise, tmp_path, resume=True)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert path.read_bytes() == content
    assert not (tmp_path / "trap").exists()


def test_checkpoint_with_missing_weights(noise: data.Dataset, tmp_path: Path):
    Trainer(config(), noise, tmp_path)
    path = checkpoint_path(tmp_path)
    state = torch.load(path, weights_only=True)
    del state["learners"]["torch"]["model"]["features.0.weight"]
    torch.save(state, path)
    with pytest.raises(TrainError, match="damaged"):
        Trainer(config(), noise, tmp_path, resume=True)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"layers": "torch"}, {"epochs": 9}, {"lr": 0.5}], ids=str
)
def test_checkpoint_of_another_run(noise: data.Dataset, tmp_path: Path, change):
    Trainer(config(), noise, tmp_path)
    with pytest.raises(TrainError, match=f"with {next(iter(change))} .* not "):
        Trainer(config(**change), noise, tmp_path, resume=True)


def test_nothing_to_resume(noise: data.Dataset, tmp_path: Path):
    with pytest.raises(TrainError, match="no run to resume"):
        Trainer(config(), noise, tmp_path / "new", resume=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_failure_while_saving_leaves_the_old_checkpoint(
    noise: data.Dataset, tmp_path: Path, monkeypatch, call: str, failure: BaseException
):
    trainer = Trainer(config(), noise, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*args):
        raise failure

    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises((files.WriteError, KeyboardInterrupt)) as error:
        trainer.fit()
    monkeypatch.undo()
    if isinstance(failure, OSError):
        assert "No space left" in str(error.value)
        assert str(checkpoint_path(tmp_path)) in str(error.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert Trainer(config(), noise, tmp_path, resume=True).epochs_done == 0


def test_folder_that_cannot_be_made(noise: data.Dataset, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(files.WriteError) as error:
        Trainer(config(), noise, tmp_path / "file" / "run")
    assert str(tmp_path / "file") in str(error.value) and "\n" not in str(error.value)


def test_checkpoint_holds_what_was_saved(tmp_path: Path):
    path = tmp_path / "deep" / "checkpoint.pt"
    checkpoint.save(path, {"numbers": [1, 2.5], "weights": torch.arange(3)})
    state = checkpoint.load(path, {"numbers": list, "weights": torch.Tensor})
    assert state["numbers"] == [1, 2.5] and torch.equal(state["weights"], torch.arange(3))
    assert [p.name for p in path.parent.iterdir()] == ["checkpoint.pt"]
    with pytest.raises(TrainError, match="damaged"):
        checkpoint.load(path, {"numbers": list, "config": dict})
