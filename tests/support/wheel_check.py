"""Builds a source distribution, a wheel from it, repairs the wheel as cibuildwheel would
(pyproject.toml), and tries it in new environments without a compiler: `make wheel-check`.

    python tests/support/wheel_check.py --torch 2.13.0 --torch 2.14.1
    python tests/support/wheel_check.py --torch /folder/of/site-packages    or folders, with torch
    python tests/support/wheel_check.py --python python3.10 --python python3.13    other Pythons

It needs Python 3.11 or newer and the packages of requirements-wheel.txt. The Pythons that wheels
are for need pip alone. The variable CXX may name a compiler that keeps what it compiled.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parent.parent.parent
OUT = ROOT / "build" / "wheel-check"
SMOKE = Path(__file__).with_name("wheel_smoke.py")


def run(*command: object, **options: object) -> None:
    print("$", shlex.join(map(str, command)), flush=True)
    subprocess.run(list(map(str, command)), check=True, **options)


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def distribution() -> Path:
    """The source distribution."""
    shutil.rmtree(OUT / "dist", ignore_errors=True)
    run(sys.executable, "-m", "build", "--sdist", "--outdir", OUT / "dist", ROOT)
    return only(OUT / "dist", "*.tar.gz")


def build(source: Path, python: str) -> Path:
    """A wheel from a source distribution, in an environment of its own, where torch is not."""
    shutil.rmtree(OUT / "built", ignore_errors=True)
    command = [python, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", OUT / "built", source]
    run(*command, env={**os.environ, "FASTCONV_CUDA": "0"})
    wheel = only(OUT / "built", "*.whl")
    return Path(shutil.copy2(wheel, OUT / "dist"))


def repaired(wheel: Path) -> Path:
    """What the repair command of the configuration makes of a wheel."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    command = settings["repair-wheel-command"].format(dest_dir=OUT / "repaired", wheel=wheel)
    shutil.rmtree(OUT / "repaired", ignore_errors=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run(*shlex.split(command), env={**os.environ, "PATH": path})
    return only(OUT / "repaired", "*.whl")


def check_contents(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    libraries = sorted(name for name in names if ".so" in name)
    assert not [name for name in names if "gomp" in name], "the wheel brings its own OpenMP"
    assert [Path(n).name.split(".")[0] for n in libraries] == ["_C"], libraries
    assert "fastconv/py.typed" in names
    assert "manylinux" in wheel.name, f"{wheel.name} fits this machine alone"
    print(f"{wheel.name}: {libraries}, {wheel.stat().st_size / 2**20:.1f} MiB")


def smoke(wheel: Path, torch: str, interpreter: str) -> None:
    """Runs wheel_smoke.py in a new environment with the wheel, its extra "train" and a torch."""
    folder = OUT / ("torch-" + re.sub(r"[^\w.]+", "-", torch).strip("-"))
    run(interpreter, "-m", "venv", "--clear", folder)
    python = folder / "bin" / "python"
    if os.sep in torch:
        packages = only(folder / "lib", "python*/site-packages")
        (packages / "more.pth").write_text(torch.replace(os.pathsep, "\n"))
    else:
        run(python, "-m", "pip", "install", "-q", "--no-compile", f"torch=={torch}")
    run(python, "-m", "pip", "install", "-q", "--no-compile", f"{wheel}[train]")
    # Only this environment's programs are in PATH: no compiler.
    run(
        python,
        SMOKE,
        "--no-compiler",
        cwd=folder,
        env={"PATH": str(folder / "bin"), "HOME": str(folder)},
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--torch", action="append", help="a version, or folders that have it")
    parser.add_argument("--python", action="append", help="a Python that a wheel is for")
    parser.add_argument("--wheel", type=Path, help="a wheel that is built already, for one Python")
    args = parser.parse_args()
    source = None if args.wheel else distribution()
    for python in args.python or [sys.executable]:
        wheel = repaired(args.wheel or build(source, python))
        check_contents(wheel)
        for torch in args.torch or ["2.13.0"]:
            smoke(wheel, torch, python)
    if source:
        run(sys.executable, "-m", "twine", "check", "--strict", *(OUT / "dist").iterdir())


if __name__ == "__main__":
    main()
