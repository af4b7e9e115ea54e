"""The command line: exit codes, messages and files."""

import re
import sys
from pathlib import Path

import pytest
import torch
from commands import error_of

import fastconv
from fastconv import models
from fastconv.cli import main

# What imports packages that may be missing.
USERS = (
    "fastconv.cli.console",
    "fastconv.plots",
    "fastconv.train.tensorboard",
    "torch.utils.tensorb",
)
QUICK = ("--epochs", "2", "--batch-size", "256", "--threads", "1")


@pytest.mark.parametrize(
    "arguments, near",
    [("trian", "train"), ("summary resnet81", "resnet18"), ("explain lenet55", "lenet5")],
)
def test_mistyped_names_get_a_suggestion(arguments: str, near: str, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments.split())
    assert stop.value.code == 2
    assert capsys.readouterr().err.strip().endswith(f"; did you mean '{near}'?")
    with pytest.raises(SystemExit):
        main(["zzz"])
    assert "did you mean" not in capsys.readouterr().err


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
    for words in (
        "default: lenet5",
        "default: digits",
        "FASTCONV_DATA",
        "--resume",
        "digits: 20 epochs, batches of 32, SGD with lr 0.02, cosine schedule, momentum 0.9",
        "cifar_net: 100 epochs, batches of 64, SGD with lr 0.01",
    ):
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
        (["--augment", "blur"], "augment is 'blur': choose from crop, flip"),
        (["--device", "tpu"], "device is 'tpu'"),
        (["--classes", "3,ten"], "no class 'ten'"),
        (["--freeze", "head"], "nothing to freeze is called head"),
        (["--init-from", "no.pt"], "no.pt to start from is missing"),
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
    assert "checkpoint.pt is missing: leave out --resume" in error_of(capsys)


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
        if name.startswith((f"{module}.", *USERS)) or name == module:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    places = ("--out", str(tmp_path / "run"), "--tensorboard", str(tmp_path / "log"))
    assert main(["train", *QUICK, *places]) == 1
    message = error_of(capsys)
    extra = "tensorboard" if package == "tensorboard" else "train"
    assert f"{package} is not installed: pip install fastconv[{extra}]" in message
    assert not (tmp_path / "run").exists()


def test_train_writes_its_folder_and_says_so(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    assert main(["train", *QUICK]) == 0
    assert torch.get_num_threads() == threads
    out = tmp_path / "runs" / "digits-lenet5"
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoint.pt",
        "classes.csv",
        "confusion.png",
        "curves.png",
        "features.png",
        "filters.png",
        "metrics.csv",
        "steps.csv",
    ]
    captured = capsys.readouterr()
    assert "61,706 parameters" in captured.out
    assert captured.out.count("\nepoch ") == 4
    assert "training time torch.nn / fastconv: " in captured.out
    assert "most often taken for" in captured.out
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


def test_divergence_ends_in_a_sentence(tmp_path: Path, capsys):
    assert main(["train", *QUICK, "--lr", "1e30", "--out", str(tmp_path)]) == 1
    message = error_of(capsys)
    assert "in the second half of epoch 1, more than 10 times that of the first step" in message
    assert message.endswith("use a lower lr\n")
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epochs_done"] == 0


EVERY_OPTION = {
    "--model lenet": {"model": "lenet"},
    "--data digits": {"data": "digits"},
    "--classes 3,7": {"classes": ("3", "7")},
    "--compare": {"layers": "both"},
    "--epochs 4": {"epochs": 4},
    "--max-steps 2": {"max_steps": 2},
    "--batch-size 8": {"batch_size": 8},
    "--optimizer sgd": {"optimizer": "sgd"},
    "--lr 0.125": {"lr": 0.125},
    "--momentum 0.5": {"momentum": 0.5},
    "--nesterov": {"nesterov": True},
    "--weight-decay 0.25": {"weight_decay": 0.25},
    "--schedule step": {"schedule": "step"},
    "--step-size 2": {"step_size": 2},
    "--gamma 0.75": {"gamma": 0.75},
    "--warmup 0.01": {"warmup": 0.01},
    "--augment crop,flip": {"augment": ("crop", "flip")},
    "--crop-padding 3": {"crop_padding": 3},
    "--mixup 0.5": {"mixup": 0.5},
    "--loss cross-entropy": {"loss": "cross-entropy"},
    "--label-smoothing 0.0625": {"label_smoothing": 0.0625},
    "--seed 11": {"seed": 11},
    "--init-from {weights}": {"init_from": "{weights}"},
    "--freeze features.0": {"freeze": ("features.0",)},
    "--amp": {"amp": True},
    "--channels-last": {"channels_last": True},
}


def test_every_option_arrives(tmp_path: Path, capsys):
    weights = str(tmp_path / "weights.pt")
    torch.save(models.build("lenet").state_dict(), weights)
    words = " ".join(EVERY_OPTION).format(weights=weights).split()
    assert main(["train", *words, "--out", str(tmp_path), "--device", "cpu"]) == 0
    wanted = {name: value for given in EVERY_OPTION.values() for name, value in given.items()}
    wanted |= {"compile": False, "init_from": weights}
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["config"] == wanted
    text = capsys.readouterr().out
    assert "fastconv: 8 of 10 tensors from" in text and "torch: 8 of 10 tensors from" in text
    assert "classifier.5.weight" in text  # of ten classes, here of two
    assert text.count("\nepoch 1/1") == 2


def test_evaluate_prints_what_training_ended_with(tmp_path: Path, capsys):
    out = str(tmp_path)
    assert main(["train", *QUICK, "--layers", "torch", "--out", out]) == 0
    trained = capsys.readouterr().out
    assert main(["evaluate", out]) == 0
    text = capsys.readouterr().out
    accuracy = re.search(r"(\S+%) of 359 test images are right", text).group(1)
    assert f"test  {accuracy}" in trained
    table = trained[trained.index("class  ") : trained.index("\n\nlayers")]
    assert table in text
    assert main(["evaluate", out, "--split", "train", "--layers", "torch"]) == 0
    assert "of 1,438 train images" in capsys.readouterr().out
    assert main(["evaluate", out, "--layers", "fastconv"]) == 1
    assert "no model with the layers fastconv" in error_of(capsys)
