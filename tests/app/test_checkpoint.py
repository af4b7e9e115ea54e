"""Checkpoints: whole or not at all, data only, and of the same run. Public names only."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import training

from fastconv import data
from fastconv.data import files
from fastconv.train import Trainer, checkpoint
from fastconv.train.checkpoint import path_in
from fastconv.train.config import TrainError


@pytest.fixture(scope="module")
def noise() -> data.Dataset:
    return training.noise()


def config(**changes):
    return training.config(**{"epochs": 1, **changes})


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
    path = path_in(tmp_path)
    damage(path)
    content = path.read_bytes()
    with pytest.raises(TrainError) as error:
        Trainer(config(), noise, tmp_path, resume=True)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert path.read_bytes() == content
    assert not (tmp_path / "trap").exists()


def test_checkpoint_with_missing_weights(noise: data.Dataset, tmp_path: Path):
    Trainer(config(), noise, tmp_path)
    path = path_in(tmp_path)
    state = torch.load(path, weights_only=True)
    del state["learners"]["torch"]["model"]["features.0.weight"]
    torch.save(state, path)
    with pytest.raises(TrainError, match="damaged"):
        Trainer(config(), noise, tmp_path, resume=True)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"layers": "torch"}, {"epochs": 9}, {"lr": 0.5}, {"classes": ("1", "2")}],
    ids=str,
)
def test_checkpoint_of_another_run(noise: data.Dataset, tmp_path: Path, change):
    Trainer(config(), noise, tmp_path)
    with pytest.raises(TrainError, match=f"with {next(iter(change))} .* not "):
        Trainer(config(**change), noise, tmp_path, resume=True)


def test_nothing_to_resume(noise: data.Dataset, tmp_path: Path):
    with pytest.raises(TrainError, match="checkpoint.pt is missing: leave out --resume"):
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
        assert str(path_in(tmp_path)) in str(error.value)
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
    state = checkpoint.read(path, "")
    assert state["numbers"] == [1, 2.5] and torch.equal(state["weights"], torch.arange(3))
    assert [p.name for p in path.parent.iterdir()] == ["checkpoint.pt"]
    with pytest.raises(TrainError, match="damaged .*missing required field `config`"):
        checkpoint.load(path)


KILLED = """
import os, signal, sys
from pathlib import Path
from fastconv.data import files

real = getattr(os, sys.argv[2])

def die(*arguments):
    if sys.argv[3] == "after":
        real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

path = Path(sys.argv[1])
setattr(os, sys.argv[2], die)
files.write_atomically(path, b"new" * 1000)
"""


@pytest.mark.parametrize(
    "call, when, survives",
    [
        ("fsync", "before", b"old"),
        ("replace", "before", b"old"),
        ("replace", "after", b"new" * 1000),
    ],
)
def test_kill_while_saving(tmp_path: Path, call: str, when: str, survives: bytes):
    """The old or the new file, whole; and the next save clears away what the killed one left."""
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"old")
    ran = subprocess.run([sys.executable, "-c", KILLED, path, call, when], timeout=60)
    assert ran.returncode == -signal.SIGKILL
    assert path.read_bytes() == survives
    assert len(list(tmp_path.iterdir())) == (1 if when == "after" else 2)
    files.write_atomically(path, b"later")
    assert path.read_bytes() == b"later"
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_files_of_others_are_left_alone(tmp_path: Path):
    path = tmp_path / "checkpoint.pt"
    files.write_atomically(path, b"x")
    running = files.part_of(path, os.getppid())
    elsewhere = tmp_path / "checkpoint.pt.another-machine.1.part"
    for part in (running, elsewhere):
        part.write_bytes(b"half")
    files.write_atomically(path, b"y")
    assert running.exists() and elsewhere.exists()


def test_model_of_a_checkpoint(noise: data.Dataset, tmp_path: Path):
    trainer = Trainer(config(), noise, tmp_path)
    trainer.fit()
    for layers, where in (("torch", tmp_path), ("fastconv", tmp_path / "checkpoint.pt")):
        found = checkpoint.load_model(where, layers)
        assert not found.model.training and found.layers == layers
        assert found.config == trainer.config
        assert found.classes == noise.classes and found.input_shape == (1, 32, 32)
        assert torch.equal(found.mean, noise.mean) and torch.equal(found.std, noise.std)
        for name, tensor in trainer.learners[layers].model.state_dict().items():
            assert torch.equal(found.model.state_dict()[name], tensor)
    assert checkpoint.load_model(tmp_path).layers == "fastconv"


def test_no_model_in_the_checkpoint(noise: data.Dataset, tmp_path: Path):
    with pytest.raises(TrainError, match="is missing"):
        checkpoint.load_model(tmp_path)
    Trainer(config(layers="torch"), noise, tmp_path)
    with pytest.raises(TrainError, match="no model with the layers fastconv, only torch"):
        checkpoint.load_model(tmp_path, "fastconv")
    state = torch.load(path_in(tmp_path), weights_only=True)
    for broken in (
        {**state, "dataset": {}},
        {**state, "config": {**state["config"], "model": "lenet6"}},
        {**state, "learners": {"torch": {"model": {}}}},
        {**state, "dataset": {**state["dataset"], "classes": ["a"]}},
    ):
        torch.save(broken, path_in(tmp_path))
        with pytest.raises(TrainError, match="checkpoint.pt") as error:
            checkpoint.load_model(tmp_path)
        assert "\n" not in str(error.value)
