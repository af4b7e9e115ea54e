"""``fastconv models`` and ``fastconv summary``."""

import re
import sys

import pytest

from fastconv import models
from fastconv.cli import main


def test_models_are_listed(capsys):
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["model", "input", "parameters", "multiply-adds", "description"]
    assert [line.split()[0] for line in lines[2:]] == list(models.MODELS)
    rows = {line.split()[0]: line.split()[1:4] for line in lines}
    # 30 * 30 * 54 + 13 * 13 * 864 + 576 * 120 + 120 * 84 + 84 * 10
    assert rows["lenet"] == ["1x32x32", "81,194", "274,656"]
    assert rows["vgg16"] == ["3x224x224", "138,357,544", "15,470,264,320"]


def layers_of(text: str) -> list[tuple[str, str, str, str]]:
    """(class, output shape, parameters, multiply-adds) of each line of torchinfo's table."""
    found = re.findall(r"[├└]─(\w+): [\d-]+ +(\[[\d, ]+\]) +(\S+) +(\S+)", text)
    assert found
    return found


@pytest.mark.parametrize("layers", models.LAYER_SETS)
def test_summary(layers: str, capsys):
    assert main(["summary", "lenet5", "--batch-size", "3", "--layers", layers]) == 0
    text = capsys.readouterr().out
    assert [row for row in layers_of(text) if row[0] in {"Conv2d", "MaxPool2d", "Linear"}] == [
        # weights and bias times 3 * 28 * 28, and so on
        ("Conv2d", "[3, 6, 28, 28]", "156", f"{156 * 3 * 28 * 28:,}"),
        ("MaxPool2d", "[3, 6, 14, 14]", "--", "--"),
        ("Conv2d", "[3, 16, 10, 10]", "2,416", f"{2416 * 3 * 10 * 10:,}"),
        ("MaxPool2d", "[3, 16, 5, 5]", "--", "--"),
        ("Linear", "[3, 120]", "48,120", f"{3 * 48120:,}"),
        ("Linear", "[3, 84]", "10,164", f"{3 * 10164:,}"),
        ("Linear", "[3, 10]", "850", f"{3 * 850:,}"),
    ]
    assert "Total params: 61,706" in text and "Total mult-adds (M): 1.27" in text
    assert "Params size (MB): 0.25" in text  # 4 * 61,706 bytes
    assert "416,520 per image" in text


def test_summary_of_a_deep_net_shows_every_layer(capsys):
    assert main(["summary", "resnet50", "--num-classes", "7", "--in-channels", "1"]) == 0
    rows = layers_of(capsys.readouterr().out)
    assert sum(row[0] == "Conv2d" for row in rows) == 53
    assert rows[0] == ("Conv2d", "[1, 64, 112, 112]", "3,136", f"{3136 * 112 * 112:,}")
    assert rows[-1][:2] == ("Linear", "[1, 7]")
    assert main(["summary", "resnet50", "--depth", "1"]) == 0
    assert len(layers_of(capsys.readouterr().out)) == 10


@pytest.mark.parametrize(
    "arguments", [[], ["lenet6"], ["lenet", "--batch-size", "0"], ["lenet", "--depth", "x"]]
)
def test_wrong_usage(arguments: list, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["summary", *arguments])
    assert stop.value.code == 2
    assert "usage: fastconv summary" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "package"), [(["models"], "tabulate"), (["summary", "lenet"], "torchinfo")]
)
def test_missing_package(command: list, package: str, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    assert main(command) == 1
    message = f"fastconv: {package} is not installed: pip install fastconv[train]\n"
    assert capsys.readouterr().err == message


OWN = """
from torch import nn

def make():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(100, 2))
"""


@pytest.fixture
def own_model(tmp_path, monkeypatch) -> str:
    (tmp_path / "ones_own.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "ones_own:make"


def test_summary_and_explain_of_a_users_model(own_model: str, capsys):
    assert main(["summary", own_model, "--input", "2x3x12x12"]) == 0
    text = capsys.readouterr().out
    assert ("Conv2d", "[2, 4, 10, 10]", "112", f"{112 * 2 * 100:,}") in layers_of(text)
    assert f"{108 * 100 + 200:,} per image" in text
    assert main(["explain", own_model, "--input", "2x3x12x12"]) == 0
    text = capsys.readouterr().out
    assert "2x3x12x12 -> 4x10x10, 3x3" in text and "2 of 2 convolution" in text
    assert main(["explain", own_model, "--input", "2x3x12x12", "--layers", "torch"]) == 0
    assert "0 of 2 convolution" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ones_own:make"], "needs --input"),
        (["ones_own:none", "--input", "1x3x9x9"], "has no attribute 'none'"),
        (["lenet", "--input", "1x1x32x32"], "--input belongs to MODULE:FACTORY"),
    ],
)
@pytest.mark.parametrize("command", ["summary", "explain"])
def test_wrong_use_of_a_users_model(command, arguments, said, own_model, capsys):
    assert main([command, *arguments]) in (1, 2)
    assert said in capsys.readouterr().err
    assert main(["explain", own_model, "--input", "1x3x9x9", "--batch", "2"]) == 2
    assert "--batch belongs to the nets" in capsys.readouterr().err
