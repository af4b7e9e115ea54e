"""What commands write, where it cannot be written: closed pipes, full disks, poor encodings."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import error_of
from PIL import Image

from fastconv.cli import main, streams

COMMAND = [sys.executable, "-m", "fastconv"]
FULL = Path("/dev/full")


def run(*arguments: str, unbuffered: bool, **options) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONUNBUFFERED": "1" if unbuffered else ""}
    return subprocess.run([*COMMAND, *arguments], stderr=subprocess.PIPE, env=env, **options)


@pytest.mark.parametrize("unbuffered", [False, True])
def test_pipe_that_nobody_reads(unbuffered: bool):
    reader, writer = os.pipe()
    os.close(reader)
    ran = run("models", unbuffered=unbuffered, stdout=writer)
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize(
    "arguments", [("models",), ("train", "--epochs", "1", "--out", "run"), ("--help",)]
)
def test_full_disk(arguments: tuple[str, ...], tmp_path: Path):
    with open(FULL, "w") as full:
        ran = run(*arguments, unbuffered=False, stdout=full, cwd=tmp_path)
    text = ran.stderr.decode()
    assert ran.returncode == 1 and text.count("\n") == 1
    assert text.startswith("fastconv: cannot write the output (No space left on device): ")


def test_stdout_that_is_closed():
    ran = run("info", unbuffered=False, preexec_fn=lambda: os.close(1))
    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.parametrize(
    "error, code",
    [(BrokenPipeError(), 141), (OSError(28, "No space left on device"), 1)],
    ids=["closed pipe", "full disk"],
)
@pytest.mark.parametrize("command", ["models", "info", "summary lenet", "filters"])
def test_every_command(command: str, error: OSError, code: int, tmp_path, monkeypatch, capsys):
    class Unwritable(io.StringIO):
        def write(self, text: str) -> int:
            raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", Unwritable())
    assert main(command.split()) == code
    assert "cannot write the output" in error_of(capsys) if code == 1 else True


def test_other_errors_are_not_taken_for_a_full_disk():
    for error in (OSError(12, "Cannot allocate memory"), OSError(28, "No space left", "file")):

        def command(error: OSError = error) -> int:
            raise error

        with pytest.raises(OSError, match=error.strerror):
            streams.run(command)


def encoded(encoding: str, errors: str = "strict") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)


@pytest.mark.parametrize("errors", ["strict", "surrogateescape", "replace"])
def test_table_in_ascii(errors: str, monkeypatch):
    stream = encoded("ascii", errors)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["summary", "lenet5"]) == 0
    assert stream.errors == errors  # as it was
    text = stream.buffer.getvalue().decode("ascii")
    line = "??Conv2d: 2-1" if errors == "replace" else r"\u2514\u2500Conv2d: 2-1"
    assert line in text and "416,520 per image" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_class_names_outside_the_encoding(encoding: str, tmp_path: Path, monkeypatch):
    for split in ("train", "test"):
        for label, name in enumerate(("猫", "chien blessé")):
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("L", (32, 32), 99 * label).save(tmp_path / split / name / "a.png")
    stream = encoded(encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    out = ("--root", str(tmp_path), "--out", str(tmp_path / "run"))
    assert main(["train", "--data", "folder", "--layers", "torch", "--epochs", "1", *out]) == 0
    text = stream.buffer.getvalue().decode(encoding)
    wanted = "猫 chien blessé".encode(encoding, "backslashreplace").decode(encoding)
    assert all(f"\n{name} " in text for name in (wanted.split()[0], wanted.partition(" ")[2]))
    assert main(["show", str(tmp_path / "run"), "test:0", "--root", str(tmp_path)]) == 0
    assert main(["evaluate", str(tmp_path / "run"), "--root", str(tmp_path)]) == 0
    assert "of 2 test images are right" in stream.buffer.getvalue().decode(encoding)
