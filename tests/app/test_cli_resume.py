"""Training that is interrupted, in a process of its own, and resumed."""

import csv
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fastconv.cli import main

EPOCHS = 10  # those after the second give a busy machine the time to interrupt them


def command(out: Path, *more: str) -> list[str]:
    options = ("--epochs", str(EPOCHS), "--batch-size", "256", "--threads", "1", "--out", str(out))
    return [sys.executable, "-m", "fastconv", "train", *options, *more]


def outcome(out: Path) -> tuple[dict[str, torch.Tensor], list[tuple[str, ...]]]:
    """The final weights, and metrics.csv without its times."""
    learners = torch.load(out / "checkpoint.pt", weights_only=True)["learners"]
    weights = {
        f"{layers}.{name}": tensor
        for layers, state in learners.items()
        for name, tensor in state["model"].items()
    }
    with open(out / "metrics.csv", newline="") as stream:
        return weights, [tuple(row[:5]) for row in csv.reader(stream)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[dict[str, torch.Tensor], list[tuple[str, ...]]]:
    """The outcome without an interruption."""
    out = tmp_path_factory.mktemp("whole")
    assert main(command(out)[3:]) == 0
    return outcome(out)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupt_and_resume_equal_no_interruption(tmp_path: Path, whole, how: signal.Signals):
    out = tmp_path / "parts"
    with subprocess.Popen(
        command(out),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests started in the background ignore SIGINT, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        for line in process.stdout:
            if re.match(rf"epoch +2/{EPOCHS}", line):
                process.send_signal(how)
                break
        _, errors = process.communicate(timeout=60)
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert errors.startswith("fastconv: interrupted;") and errors.count("\n") == 1, errors
        assert "continue with: fastconv train" in errors and "--resume" in errors
    else:
        assert process.returncode == -how
    done = torch.load(out / "checkpoint.pt", weights_only=True)["epochs_done"]
    assert 1 <= done < EPOCHS
    assert len(outcome(out)[1]) == 1 + 2 * done

    resumed = subprocess.run(command(out, "--resume"), capture_output=True, text=True, timeout=60)
    assert resumed.returncode == 0, resumed.stderr
    assert f"{done} of them done" in resumed.stdout

    (ours, our_rows), (theirs, their_rows) = outcome(out), whole
    assert our_rows == their_rows and len(our_rows) == 1 + 2 * EPOCHS
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
