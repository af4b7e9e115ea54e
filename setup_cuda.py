"""How nvcc compiles the CUDA kernels: setup.py builds fastconv._C_cuda with this, and tests and
benchmarks compile the same files in the same way. It imports nothing that is not in Python.

FASTCONV_CUDA and FASTCONV_CUDA_ARCHS: docs/cuda.md.
"""

import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent
INSTALLED = Path("/usr/local")  # where NVIDIA's installer puts cuda, cuda-13.0 and so on
ARCHITECTURES = ["75", "80", "86", "89", "90", "100", "120"]  # of a build that names none
# The virtual architectures that the sources tell apart by __CUDA_ARCH__. The front end of nvcc,
# which takes half of the time, runs for these alone; ptxas makes the others' code from their PTX.
VIRTUAL = (75, 80, 120)
FLAGS = ["-std=c++17", "-O3", "--expt-relaxed-constexpr"]
HOST_FLAGS = ["-Xcompiler", "-fPIC", "-Xcompiler", "-fvisibility=hidden"]


def find_nvcc() -> str | None:
    """In PATH, in CUDA_HOME, or the newest of /usr/local."""
    installed = sorted(INSTALLED.glob("cuda*/bin/nvcc"), reverse=True)
    places = ["nvcc", f"{os.environ.get('CUDA_HOME')}/bin/nvcc", *map(str, installed)]
    return next((found for place in places if (found := shutil.which(place))), None)


def said(command: list[str]) -> list[str]:
    """The lines that a program prints; none if it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


@functools.cache
def version(nvcc: str) -> str:
    """Such as "nvcc 13.0.88"."""
    found = re.search(r"V([\d.]+)", " ".join(said([nvcc, "--version"])))
    return f"nvcc {found[1] if found else '?'}"


def why_not(in_place: bool) -> str | None:
    """None: fastconv._C_cuda is wanted and can be tried.

    Args:
        in_place: a developer's build, which waits for kernels only where they can run.
    """
    wanted = os.environ.get("FASTCONV_CUDA", "auto")
    if wanted == "0":
        return "FASTCONV_CUDA=0"
    if wanted not in {"1", "auto"}:
        raise SystemExit(f"FASTCONV_CUDA is '{wanted}'; it may be 0, 1 or auto.")
    why = None if find_nvcc() else "nvcc was not found (in PATH, CUDA_HOME or /usr/local/cuda*)"
    if wanted == "1":
        if why:
            raise SystemExit(f"FASTCONV_CUDA=1, but {why}.")
        return None
    if why or not in_place or said(["nvidia-smi", "-L"]):
        return why
    return "no GPU is here; FASTCONV_CUDA=1 builds it"


def architectures(nvcc: str) -> list[str]:
    """Such as ["75", "80"]: those of FASTCONV_CUDA_ARCHS or, with "auto", of the GPUs here, or all
    that the kernels are for. An architecture that nvcc does not know is left out."""
    known = {line.strip().removeprefix("sm_") for line in said([nvcc, "--list-gpu-code"])}
    gpus = said(["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"])
    auto = os.environ.get("FASTCONV_CUDA", "auto") == "auto"
    asked = os.environ.get("FASTCONV_CUDA_ARCHS") or (",".join(gpus) if auto else "")
    names = [name.strip() for name in asked.replace(";", ",").split(",") if name.strip()]
    chosen = [name.replace(".", "") for name in names] or ARCHITECTURES
    return sorted({name for name in chosen if name in known}, key=int)


def virtual(architecture: str) -> int:
    """The newest of VIRTUAL whose PTX the architecture takes."""
    return max((v for v in VIRTUAL if v <= int(architecture)), default=int(architecture))


def codes(wanted: list[str]) -> list[str]:
    """Flags of nvcc: machine code of each architecture, and PTX of the last one for newer GPUs."""
    of_virtual: dict[int, list[str]] = {}
    for architecture in wanted:
        of_virtual.setdefault(virtual(architecture), []).append(f"sm_{architecture}")
    last = virtual(wanted[-1])
    of_virtual[last].append(f"compute_{last}")
    return [f"-gencode=arch=compute_{v},code=[{','.join(c)}]" for v, c in of_virtual.items()]


# ---- files that are compiled once ----------------------------------------------------------------


def included(source: Path) -> list[Path]:
    """A file and all that it includes by a name in quotes, directly or not."""
    found, open_ = {source.resolve()}, [source.resolve()]
    while open_:
        path = open_.pop()
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.MULTILINE):
            header = (path.parent / name).resolve()
            if header not in found and header.exists():
                found.add(header)
                open_.append(header)
    return sorted(found)


def key_of(source: Path, words: Iterable[str]) -> str:
    """A name of what a compiler makes of a source: its text, that of all it includes, and `words`,
    the command."""
    text = hashlib.sha256(" ".join(words).encode())
    for path in included(source):
        text.update(path.read_bytes())
    return f"{source.parent.name}-{source.stem}-{text.hexdigest()[:20]}"


def compile_once(command: list[str], source: Path, folder: Path) -> Path:
    """The object file of a source, made if none of the same text, command and version of nvcc is in
    the folder. A build that is killed leaves only whole files there.

    Raises RuntimeError with the compiler's words if it fails.
    """
    target = folder / f"{key_of(source, [*command, version(find_nvcc())])}.o"
    if not target.exists():
        part = target.with_suffix(f".{os.getpid()}.part")
        done = subprocess.run(
            [*command, "-c", str(source), "-o", str(part)], capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(done.args)}\n{done.stderr}{done.stdout}")
        part.rename(target)
    return target


def build(target: Path, folder: Path, bindings: list[tuple[list[str], Path]], jobs: int) -> None:
    """Compiles each .cu file once for all architectures, and links them with `bindings`, which are
    sources and the commands of their compiler. Objects stay in `folder` for the next build.

    Raises RuntimeError or OSError with the compiler's words if it fails.
    """
    nvcc = find_nvcc()
    wanted = architectures(nvcc)
    if not wanted:
        raise RuntimeError("nvcc knows none of the architectures of FASTCONV_CUDA_ARCHS")
    sources = sorted((ROOT / "csrc" / "cuda").rglob("*.cu"))
    command = [nvcc, *FLAGS, *HOST_FLAGS, *codes(wanted)]
    # The list is part of the text of the binding, which names it.
    named = f'-DFASTCONV_CUDA_ARCHITECTURES="{",".join(wanted)}"'
    work = [(command, source) for source in sources]
    work += [([*flags, named], source) for flags, source in bindings]
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        objects = list(pool.map(lambda job: compile_once(*job, folder), work))
    for old in set(folder.glob("*.o")) - set(objects):
        old.unlink()
    link = [nvcc, "-shared", "-cudart", "static", *map(str, objects), "-o", str(target)]
    done = subprocess.run(link, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(link)}\n{done.stderr}{done.stdout}")
