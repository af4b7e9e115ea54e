"""The command line: exit codes, messages, files, and Ctrl-C in a process of its own."""

import csv
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import fastconv
from fastconv.cli import main

QUICK = ("--epochs", "2", "--batch-size", "256", "--threads", "1")


def error_of(capsys) -> str:
    """The one line on stderr."""
    text = capsys.readouterr().err
    assert text.startswith("fastconv: ") and text.count("\n") == 1, text
    return text


def test_help_states_commands_and_defaults(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "train" in text and "info" in text

    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in ("default: lenet5", "default: digits", "FASTCONV_DATA", "--resume"):
        assert words in text


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip() == fastconv.__version__


@pytest.mark.parametrize("arguments", [[], ["fly"], ["train", "--model", "x"], ["train", "--lr"]])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: fastconv" in capsys.readouterr().err


def test_info_prints_the_report(capsys):
    from fastconv.info import report

    assert main(["info"]) == 0
    assert capsys.readouterr().out == report() + "\n"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--epochs", "0"], "epochs is 0"),
        (["--lr", "-1"], "lr is -1.0"),
        (["--threads", "0"], "threads is 0"),
        (["--seed", "-3"], "seed is -3"),
    ],
)
def test_value_out_of_range(arguments, words, tmp_path: Path, capsys):
    assert main(["train", "--out", str(tmp_path / "run"), *arguments]) == 1
    assert words in error_of(capsys)
    assert not (tmp_path / "run").exists()


def test_missing_data_set(tmp_path: Path, capsys):
    assert main(["train", "--data", "mnist", "--root", str(tmp_path)]) == 1
    message = error_of(capsys)
    assert str(tmp_path / "MNIST" / "raw") in message and "--download" in message


def test_nothing_to_resume(tmp_path: Path, capsys):
    assert main(["train", "--resume", "--out", str(tmp_path)]) == 1
    assert "no run to resume" in error_of(capsys)


def test_folder_that_cannot_be_written(tmp_path: Path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["train", "--out", str(tmp_path / "file")]) == 1
    assert f"cannot write {tmp_path / 'file'}" in error_of(capsys)


@pytest.mark.parametrize(
    "module, package",
    [
        ("tqdm", "tqdm"),
        ("tabulate", "tabulate"),
        ("matplotlib", "matplotlib"),
        ("sklearn", "scikit-learn"),
    ],
)
def test_missing_package(module: str, package: str, tmp_path: Path, capsys, monkeypatch):
    for name in list(sys.modules):
        if name.partition(".")[0] == module or name in ("fastconv.console", "fastconv.plots"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["train", *QUICK, "--out", str(tmp_path / "run")]) == 1
    message = error_of(capsys)
    assert f"{package} is not installed" in message and "pip install fastconv[train]" in message
    assert not (tmp_path / "run").exists()


def test_train_writes_its_folder_and_says_so(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    assert main(["train", *QUICK]) == 0
    assert torch.get_num_threads() == threads
    out = tmp_path / "runs" / "digits-lenet5"
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoint.pt",
        "curves.png",
        "features.png",
        "filters.png",
        "metrics.csv",
    ]
    captured = capsys.readouterr()
    assert "61,706 parameters" in captured.out
    assert captured.out.count("\nepoch ") == 4
    assert "training time torch.nn / fastconv: " in captured.out
    assert captured.err == ""  # no bar where stderr is no terminal

    assert main(["train", *QUICK]) == 0
    assert "holds an earlier run: starting anew" in capsys.readouterr().out

    before = (out / "metrics.csv").read_bytes()
    assert main(["train", *QUICK, "--resume"]) == 0
    text = capsys.readouterr().out
    assert "2 of them done" in text and "\nepoch " not in text
    assert (out / "metrics.csv").read_bytes() == before

    assert main(["train", *QUICK, "--resume", "--seed", "1"]) == 1
    assert "with seed 0, not 1" in error_of(capsys)


def command(out: Path, *more: str) -> list[str]:
    options = ("--epochs", "5", "--batch-size", "256", "--threads", "1", "--out", str(out))
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


def test_interrupt_and_resume_equal_no_interruption(tmp_path: Path):
    out = tmp_path / "parts"
    with subprocess.Popen(
        command(out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if re.match(r"epoch 2/5", line):
                process.send_signal(signal.SIGINT)
                break
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith("fastconv: interrupted;") and errors.count("\n") == 1, errors
    assert "continue with: fastconv train" in errors and "--resume" in errors
    done = torch.load(out / "checkpoint.pt", weights_only=True)["epochs_done"]
    assert 1 <= done < 5
    assert len(outcome(out)[1]) == 1 + 2 * done

    resumed = subprocess.run(command(out, "--resume"), capture_output=True, text=True, timeout=60)
    assert resumed.returncode == 0, resumed.stderr
    assert f"{done} of them done" in resumed.stdout

    whole = tmp_path / "whole"
    assert main(command(whole)[3:]) == 0
    (ours, our_rows), (theirs, their_rows) = outcome(out), outcome(whole)
    assert our_rows == their_rows and len(our_rows) == 1 + 2 * 5
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
