"""What an installed fastconv must do, as a program of its own: wheel_check.py runs it where there
is no compiler and nothing of this tree. It prints what it found, and fails with the first thing
that is wrong.
"""

import argparse
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

import fastconv

TRAINING_IMAGES, TEST_IMAGES = 256, 64


def check_layers() -> None:
    """Values and gradients of a small net as torch.nn's, in float64."""
    plain = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 8, 3, groups=8),
        torch.nn.AvgPool2d(2),
    ).double()
    x = torch.randn(2, 3, 18, 18, dtype=torch.float64, requires_grad=True)

    def results() -> list[torch.Tensor]:
        y = plain(x)
        return [y, *torch.autograd.grad(y.square().sum(), [x, *plain.parameters()])]

    want = results()
    fastconv.convert(plain)
    assert type(plain[0]) is fastconv.Conv2d and type(plain[2]) is fastconv.MaxPool2d
    torch.testing.assert_close(results(), want)
    fastconv.revert(plain)
    with fastconv.enabled():
        torch.testing.assert_close(results(), want)
    compiled = torch.compile(fastconv.convert(plain), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), want[0])
    assert fastconv.fallbacks() == {}, fastconv.fallbacks()


def write_mnist(folder: Path) -> None:
    """Images whose left or right half is bright, in MNIST's format: label 0 or 1."""
    folder.mkdir(parents=True)
    for name, count in (("train", TRAINING_IMAGES), ("t10k", TEST_IMAGES)):
        labels = bytes(i % 2 for i in range(count))
        rows = [
            bytes(random.randrange(128) + 127 * ((column >= 14) == label) for column in range(28))
            for label in labels
            for _ in range(28)
        ]
        images = struct.pack(">IIII", 2051, count, 28, 28) + b"".join(rows)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(images)
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + labels)


def command(*args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fastconv", *args], capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0, f"fastconv {' '.join(args)}\n{done.stdout}{done.stderr}"
    return done.stdout


def check_training() -> None:
    with tempfile.TemporaryDirectory() as root:
        write_mnist(Path(root, "MNIST", "raw"))
        command("train", "--data", "mnist", "--root", root, "--epochs", "1", "--batch-size", "32",
                "--layers", "fastconv", "--out", f"{root}/run")  # fmt: skip
        assert list(Path(root, "run").rglob("checkpoint*.pt"))


def openmp_runtimes() -> list[str]:
    """The OpenMP runtimes that this process has loaded."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    paths = {line.split()[-1] for line in lines if "/" in line}
    return sorted(p for p in paths if any(n in Path(p).name for n in ("gomp", "iomp", "libomp")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-compiler", action="store_true", help="none may be in PATH")
    args = parser.parse_args()
    compilers = [name for name in ("cc", "c++", "gcc", "g++", "clang") if shutil.which(name)]
    assert not (args.no_compiler and compilers), f"compilers in PATH: {compilers}"
    assert "site-packages" in fastconv.__file__, fastconv.__file__
    check_layers()
    check_training()
    runtimes = openmp_runtimes()
    assert len(runtimes) == 1, f"OpenMP runtimes: {runtimes}"
    print(f"torch {torch.__version__}, Python {sys.version.split()[0]}, {runtimes[0]}")
    print(command("info"))


main()
