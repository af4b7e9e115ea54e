"""make gpu-check: builds for the GPU that is here, checks and measures, 8 minutes at most.

    python -m benchmarks.gpu [--minutes 8] [--again] [--only STEP ...]

Steps, in order of value: build, smoke (every operator beside float64), tests (pytest, where it is
installed), train (LeNet-5 and ResNet-18), bench (beside cuDNN), sanitizer (compute-sanitizer, where
it is installed). What a step has written stays, so a second call goes on where the first ended;
--again forgets it. It prints one page and writes it to benchmarks/results/. Exits with 2 where
something that it needs is missing, with 1 where a step failed.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu import page

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
NAMES = ("build", "smoke", "tests", "train", "bench", "sanitizer")


def missing() -> str:
    """One sentence about what is not here; "": everything is."""
    try:
        import torch
    except ImportError:
        return f"gpu-check needs torch with CUDA, and {sys.executable} has no torch."
    if torch.version.cuda is None:
        return f"gpu-check needs torch with CUDA, and torch {torch.__version__} is built without."
    if not torch.cuda.is_available():
        return f"gpu-check needs a GPU, and torch {torch.__version__} finds none."
    home = os.environ.get("CUDA_HOME")
    for tool in ("nvcc", "g++"):
        if not shutil.which(tool) and not (home and Path(home, "bin", tool).exists()):
            return f"gpu-check needs {tool}, which is not in PATH (or, nvcc, in CUDA_HOME)."
    return ""


def sources() -> str:
    """A name of what is measured: kernels, operators, and these steps."""
    text = hashlib.sha256()
    for folder in ("csrc", "fastconv", "benchmarks/gpu"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".h", ".cpp", ".inl", ".cu", ".cuh", ".py"}:
                text.update(path.read_bytes())
    return text.hexdigest()[:10]


class Step(NamedTuple):
    name: str
    command: list[str]
    lacks: str = ""  # why it cannot run here


def steps(folder: Path) -> list[Step]:
    python = [sys.executable, "-m"]
    sanitizer = shutil.which("compute-sanitizer") or ""
    has_pytest = subprocess.run([sys.executable, "-c", "import pytest"], capture_output=True)
    return [
        Step("build", [*python, "benchmarks.gpu.build"]),
        Step("smoke", [*python, "benchmarks.gpu.smoke", str(folder / "smoke.json")]),
        Step(
            "tests",
            [*python, "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/cuda/test_gpu.py"],
            "pytest is not installed" if has_pytest.returncode else "",
        ),
        Step("train", [*python, "benchmarks.gpu.train", str(folder / "train.json")]),
        Step("bench", [*python, "benchmarks.gpu.bench", str(folder / "bench.json")]),
        Step(
            "sanitizer",
            [sanitizer, "--tool", "memcheck", "--error-exitcode", "9", *python[:1], "-m",
             "benchmarks.gpu.smoke", str(folder / "sanitizer.json"), "--few"],
            "" if sanitizer else "compute-sanitizer is not in PATH",
        ),
    ]  # fmt: skip


def run(step: Step, folder: Path, seconds: float) -> dict:
    """How a step ended; what it printed is in <step>.log."""
    if step.lacks:
        return {"ended": f"left out: {step.lacks}"}
    start, log = time.monotonic(), folder / f"{step.name}.log"
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:2]])}
    with open(log, "w") as out:
        try:
            done = subprocess.run(
                step.command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, timeout=seconds,
                env=variables,
            )  # fmt: skip
            ended = "done" if done.returncode == 0 else f"failed ({done.returncode})"
        except subprocess.TimeoutExpired:
            ended = "out of time"
    return {"ended": ended, "seconds": round(time.monotonic() - start, 1)}


def run_all(chosen: list[Step], folder: Path, minutes: float) -> dict[str, dict]:
    """Runs what is not done yet; state.json is complete after each step."""
    file, end = folder / "state.json", time.monotonic() + 60 * minutes
    state = json.loads(file.read_text()) if file.exists() else {}
    for step in chosen:
        if state.get(step.name, {}).get("ended") == "done":
            continue
        left = end - time.monotonic()
        print(f"{step.name} ...", end=" ", flush=True)
        state[step.name] = (
            run(step, folder, left) if left > 1 or step.lacks else {"ended": "out of time"}
        )
        print(state[step.name], flush=True)
        file.write_text(json.dumps(state, indent=1))
        if step.name == "build" and state["build"]["ended"] != "done":
            print((folder / "build.log").read_text()[-3000:])
            break
    return state


def facts() -> dict[str, str]:
    import torch

    major, minor = torch.cuda.get_device_capability()
    return {
        "GPU": torch.cuda.get_device_name(),
        "compute capability": f"{major}.{minor}",
        "torch": torch.__version__,
        "CUDA of torch": str(torch.version.cuda),
        "cuDNN": str(torch.backends.cudnn.version()),
        "Python": sys.version.split()[0],
        "sources": sources(),
        "date": time.strftime("%Y-%m-%d"),
    }


def main(given: list[str] | None = None) -> int:
    shown = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("benchmarks.gpu", description=__doc__, formatter_class=shown)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--again", action="store_true", help="forget what earlier calls have done")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    chosen = parser.parse_args(given)
    if why := missing():
        print(why, file=sys.stderr)
        return 2
    known = facts()
    gpu = re.sub(r"[^a-z0-9]+", "-", known["GPU"].lower()).strip("-")
    folder = ROOT / "build" / "gpu-check" / f"{gpu}-{known['sources']}"
    if chosen.again:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [step for step in steps(folder) if step.name in chosen.only]
    try:
        state = run_all(wanted, folder, chosen.minutes)
    finally:  # whatever is there is written, also after an interruption
        name = f"gpu-{known['date']}-{gpu}"
        text = page.write(folder, known, RESULTS / name)
    print(text)
    return 0 if all(s["ended"] == "done" or "left out" in s["ended"] for s in state.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
