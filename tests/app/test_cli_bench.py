"""`fastconv bench MODULE:FACTORY`: a user's own model, timed. Times themselves are not tested."""

import pytest

from fastconv.cli import main

MODULE = """
from torch import nn

def make():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.FractionalMaxPool2d(2, 2))

def number():
    return 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch) -> str:
    (tmp_path / "a_users_net.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "a_users_net"


def test_both_layouts_the_report_and_the_slowest_layers(module: str, capsys):
    assert main(["bench", f"{module}:make", "--input", "2x3x12x13", "--rounds", "1"]) == 0
    text = capsys.readouterr().out
    for part in ("fastconv, NCHW", "torch, NCHW", "fastconv, channels_last", "slowest layers",
                 "2 of 3 convolution", "FractionalMaxPool2d is not covered"):  # fmt: skip
        assert part in text


@pytest.mark.parametrize(
    "name, said",
    [("nothing", "has no attribute 'nothing'"), ("number", "made a int, not a torch.nn.Module")],
)
def test_what_makes_no_model_is_one_sentence(module: str, name: str, said: str, capsys):
    assert main(["bench", f"{module}:{name}", "--input", "1x3x8x8"]) == 1
    assert said in capsys.readouterr().err
    assert main(["bench", "no_such_module:net", "--input", "1x3x8x8"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["net", "--input", "1x3"],
        ["a:b", "--input", "8,3"],
        ["a:b", "--input", "8x3", "--rounds", "0"],
        ["a:b", "--input", "8x3", "--rounds", "-1"],
    ],
)
def test_wrong_words_end_with_code_2(arguments: list, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["bench", *arguments])
    assert stop.value.code == 2
