"""A user's script under a type checker: the package is typed, and so is what a layer returns."""

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import torch
from torch import Tensor, nn

import fastconv


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = fastconv.Conv2d(3, 8, 3)
        self.up = fastconv.ConvTranspose2d(8, 3, 2, stride=2)
        self.pool = fastconv.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.up(self.conv(x).relu(), [60, 60]))


@fastconv.enabled()
def run(x: Tensor) -> Tensor:
    return torch.conv2d(x, torch.ones(1, 3, 3, 3))


net: Net = fastconv.convert(Net(), verbose=True)
counts: dict[str, int] = fastconv.report(net).counts
y: Tensor = fastconv.functional.conv2d(torch.ones(1, 3, 9, 9), net.conv.weight)
with fastconv.flags(winograd=False):
    reveal_type(net.conv(y))
    reveal_type(run(y))
    reveal_type(fastconv.revert(net))
"""


def test_the_package_says_that_it_is_typed():
    assert files("fastconv").joinpath("py.typed").is_file()


def test_mypy_strict_of_a_users_script(tmp_path):
    pytest.importorskip("mypy")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent",
         "--python-executable", sys.executable, "--cache-dir", tmp_path / "cache", script],
        capture_output=True, text=True, env=os.environ | {"MYPYPATH": str(ROOT)}, cwd=tmp_path,
    )  # fmt: skip
    assert "error" not in done.stdout and done.returncode == 0, done.stdout + done.stderr
    revealed = [line.split('"')[1] for line in done.stdout.splitlines() if "Revealed" in line]
    assert revealed == ["torch._tensor.Tensor", "torch._tensor.Tensor", "script.Net"]


def test_pyright_strict_of_a_users_script(tmp_path):
    """basedpyright is pyright, packaged with all that it needs."""
    pytest.importorskip("basedpyright")
    (tmp_path / "script.py").write_text(SCRIPT)
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    found = json.loads(done.stdout)["generalDiagnostics"]
    assert [f["severity"] for f in found] == ["information"] * 3, found
    assert [f["message"].split(" is ")[1] for f in found] == ['"Tensor"', '"Tensor"', '"Net"']
