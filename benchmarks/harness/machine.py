"""What a reader needs to know to judge figures: machine, compiler, versions, commit."""

import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import fastconv
from fastconv.core.extension import _C

ROOT = Path(__file__).resolve().parents[2]
PEER_PACKAGES = ("onnxruntime", "openvino", "jax")
LIMITS = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")  # what holds torch back, where it is set


def git(*arguments: str) -> str:
    """What git says, or nothing where there is no repository."""
    try:
        run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""


def commit() -> str:
    """Short name of the commit, with "+changes" where the code differs from it."""
    name = git("rev-parse", "--short", "HEAD")
    changed = git("status", "--porcelain", "--", "csrc", "fastconv", "setup.py")
    return (name or "unknown") + ("+changes" if changed else "")


# What a measurement depends on: these folders of benchmarks/, but for these files.
MEASURING = ("harness", "peers")
NOT_MEASURING = {"commits", "plan", "results", "stages"}


def code_id() -> str:
    """Changes when anything changes that a measurement depends on: torch, package, benchmarks."""
    digest = hashlib.sha1(torch.__version__.encode() + _C.isa().encode())
    package = Path(fastconv.__file__).parent
    folders = (ROOT / "benchmarks" / name for name in MEASURING)
    files = (path for folder in folders for path in folder.glob("*.*p*"))
    own = [path for path in files if path.stem not in NOT_MEASURING]
    for path in sorted([*package.rglob("*.py"), *package.glob("_C*.so"), *own]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _has_flag(name: str) -> bool:
    """Whether /proc/cpuinfo names a feature of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("flags") and name in line.split() for line in lines)


def _memory_gib() -> int:
    try:
        return round(int(Path("/proc/meminfo").read_text().split()[1]) / 2**20)
    except OSError:
        return 0


def machine() -> dict[str, str | int]:
    versions = {}
    for name in PEER_PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "cpu": _cpu(),
        "cpus": len(_affinity()),
        "memory_gib": _memory_gib(),
        "isa": _C.isa(),
        **({"avx512_bf16": True} if _has_flag("avx512_bf16") else {}),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: os.environ[name] for name in LIMITS if name in os.environ},
        **versions,
        "fastconv": fastconv.__version__,
        "compiler": _C.build_info()["compiler"],
        "commit": commit(),
    }


def _affinity() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(threads: int) -> None:
    """Gives this process as many CPUs as it has threads, so that every runtime agrees on it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, _affinity()[-threads:])
    torch.set_num_threads(threads)
