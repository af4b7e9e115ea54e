"""Static evidence about the CUDA kernels, without a GPU: what the compiler says, and arithmetic.

    python -m benchmarks.gpu.evidence [--architectures 75 80 90 120] [--types float Half] [--write]

Of each kernel, type and architecture: registers, bytes of spills, shared memory, the occupancy that
these allow, and the hot loop's instructions (with nvdisasm, where it is found: PATH, CUDA_HOME or
the package nvidia-cuda-nvdisasm). A row stands for all variants of a kernel: the worst of each
figure. --write puts the figures into benchmarks/results/cuda-evidence.json and the tables into
docs/cuda.md. No figure here is a measurement, and none is a speed.
"""

import argparse
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from cuda_shim import shim

import setup_cuda
from benchmarks.gpu import bytes_moved
from benchmarks.gpu.machine_code import nvdisasm, parse_sass
from benchmarks.gpu.paper_roofline import GPUS, roofline

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "benchmarks" / "results" / "cuda-evidence.json"
CACHE = ROOT / "build" / "cuda-evidence"
PAGE = ROOT / "docs" / "cuda.md"
BEGIN, END = "<!-- evidence: begin -->\n", "<!-- evidence: end -->\n"
ARCHITECTURES = ("75", "80", "90", "120")  # whose figures are committed
NVCC_FLAGS = [*setup_cuda.FLAGS, "-Werror", "all-warnings",
              "-Xcompiler", "-Wall,-Wextra,-Wno-unknown-pragmas", "-Xptxas", "-v"]  # fmt: skip
TYPES = ("float", "Half", "double", "BFloat16")
THREADS = {"tensor": 128}  # of a block, by a part of the kernel's name; else 256


class Limits(NamedTuple):
    """Of a multiprocessor: CUDA C++ Programming Guide, "Compute Capabilities"."""

    warps: int
    blocks: int
    shared: int
    registers: int = 65536


LIMITS = {
    "75": Limits(32, 16, 64 << 10),
    "80": Limits(64, 32, 164 << 10),
    "86": Limits(48, 16, 100 << 10),
    "89": Limits(48, 24, 100 << 10),
    "90": Limits(64, 32, 228 << 10),
    "100": Limits(64, 32, 228 << 10),
    "120": Limits(48, 24, 100 << 10),
}
BLOCK_SHARED = 1024  # bytes that a block takes besides its own, from sm_80 on


def threads_of(kernel: str) -> int:
    return next((n for part, n in THREADS.items() if part in kernel), 256)


def occupancy(architecture: str, threads: int, registers: int, shared: int) -> float:
    """Warps that a multiprocessor holds, as a share of the most. Registers are given to warps in
    units of 256."""
    limits, warps = LIMITS[architecture], -(-threads // 32)
    by_registers = limits.registers // (-(-registers * 32 // 256) * 256) // warps
    reserved = shared + (BLOCK_SHARED if architecture != "75" else 0)
    by_shared = limits.shared // reserved if reserved else limits.blocks
    blocks = min(limits.warps // warps, limits.blocks, by_registers, by_shared)
    return blocks * warps / limits.warps


# ---- what ptxas says -----------------------------------------------------------------------------

_FUNCTION = re.compile(
    r"Compiling entry function '(\S+)' for '\S+'\n.*\n\s*"
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n"
    r".*Used (\d+) registers(.*)"
)


def parse_ptxas(text: str) -> dict[str, dict]:
    """{mangled kernel: registers, spills, shared}"""
    found = {}
    for name, stack, stores, loads, registers, rest in _FUNCTION.findall(text):
        shared = re.search(r"(\d+) bytes smem", rest)
        found[name] = {
            "registers": int(registers),
            "spills": int(stores) + int(loads),
            "stack": int(stack),
            "shared": int(shared[1]) if shared else 0,
        }
    return found


def compile_source(nvcc: str, source: Path, architecture: str, element: str) -> Path:
    """The cubin of a source for one element type, or "" for all, compiled once on a machine; beside
    it, as .txt, what ptxas says.

    Raises RuntimeError with nvcc's words if it refuses the source or warns.
    """
    code = f"arch=compute_{setup_cuda.virtual(architecture)},code=sm_{architecture}"
    flags = [*NVCC_FLAGS, f"-gencode={code}", "-cubin"]
    flags += [f"-DFASTCONV_CUDA_TYPE={element}"] if element else []
    cubin = CACHE / f"{setup_cuda.key_of(source, [setup_cuda.version(nvcc), *flags])}.cubin"
    if cubin.exists():
        return cubin
    CACHE.mkdir(parents=True, exist_ok=True)
    part = cubin.with_suffix(f".{os.getpid()}.part")
    done = subprocess.run([nvcc, *flags, source, "-o", part], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr + done.stdout)
    cubin.with_suffix(".txt").write_text(done.stderr)
    part.rename(cubin)
    return cubin


def demangled(names: list[str]) -> list[str]:
    """Such as "gather_product<float>": the kernel and its element type, without other variants."""
    text = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True)
    short = []
    for line in text.stdout.splitlines():
        line = re.sub(r"fastconv::cuda::|\(anonymous namespace\)::|^void ", "", line)
        kernel, element = re.match(r"(\w+)<?(?:unsigned )?(\w*)", line).groups()
        short.append(f"{kernel}<{element}>")
    return short


# ---- all of it -----------------------------------------------------------------------------------

WORST = {"registers": max, "spills": max, "stack": max, "shared": max, "occupancy": min,
         "share of products": min, "divisions": max, "local memory": max, "instructions": max,
         "loads": max, "128-bit loads": min}  # fmt: skip


def worst(rows: list[dict]) -> dict:
    keys = [key for key in WORST if any(key in row for row in rows)]
    return {key: WORST[key](row[key] for row in rows if key in row) for key in keys}


def of_source(nvcc: str, source: Path, architecture: str, element: str) -> dict[str, dict]:
    """{"kernel<type>": figures} of one .cu file."""
    cubin = compile_source(nvcc, source, architecture, element)
    figures = parse_ptxas(cubin.with_suffix(".txt").read_text())
    if (disassembler := nvdisasm()) and figures:
        done = subprocess.run([disassembler, "-c", cubin], capture_output=True, text=True)
        for name, loop in parse_sass(done.stdout).items():
            figures.get(name, {}).update(loop)
    grouped: dict[str, list[dict]] = {}
    for name, row in zip(demangled(list(figures)), figures.values(), strict=True):
        row["occupancy"] = round(
            occupancy(architecture, threads_of(name), row["registers"], row["shared"]), 3
        )
        grouped.setdefault(name, []).append(row)
    return {name: worst(rows) for name, rows in sorted(grouped.items())}


def committed() -> dict:
    return json.loads(FILE.read_text())


def worse(row: dict, known: dict) -> list[str]:
    """The figures of a kernel that are worse than the committed ones."""
    both = [key for key in WORST if key in row and key in known]
    return [
        f"{key}: {row[key]}, committed {known[key]}"
        for key in both
        if key not in ("instructions", "loads")
        and row[key] != known[key]
        and WORST[key](row[key], known[key]) == row[key]
    ]


def sources() -> list[Path]:
    return sorted((ROOT / "csrc" / "cuda").rglob("*.cu"))


def kernels_of(source: Path) -> list[str]:
    """The names of the kernels that a source holds or includes."""
    text = source.read_text()
    for header in re.findall(r'#include "([^"]+\.cuh)"', text):
        text += (source.parent / header).read_text()
    return re.findall(r"__global__ void __launch_bounds__\([^;{]*?\)\s+(\w+)\(", text)


def collect(nvcc: str, architectures: list[str], types: list[str]) -> dict[str, dict]:
    """{architecture: {"kernel<type>": figures}}"""
    files = [source for source in sources() if kernels_of(source)]
    jobs = [(nvcc, f, a, t) for t in types for a in architectures for f in files]
    found: dict[str, dict] = {a: {} for a in architectures}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for (_, _, a, _), rows in zip(
            jobs, pool.map(lambda job: of_source(*job), jobs), strict=True
        ):
            found[a].update(rows)
    return found


def merged(before: dict[str, dict], found: dict[str, dict]) -> dict[str, dict]:
    """Both, without kernels that are no longer written; sorted."""
    written = {name for source in sources() for name in kernels_of(source)}
    rows = {a: before.get(a, {}) | found.get(a, {}) for a in ARCHITECTURES}
    return {
        a: {k: row for k, row in sorted(kernels.items()) if k.partition("<")[0] in written}
        for a, kernels in rows.items()
    }


# ---- the page ------------------------------------------------------------------------------------


def tables(evidence: dict) -> str:
    """The part of docs/cuda.md between the markers."""
    lines = [
        f"Compiler: {evidence['compiler']}. A row stands for all variants of a kernel and shows the"
        " worst of each figure.",
        "",
        "| kernel, sm_80 | registers | spills | shared memory | occupancy | hot loop: share of"
        " products | 128-bit loads | divisions | local memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in evidence["kernels"]["80"].items():
        if not name.endswith(("<float>", "<Half>", "<>", "<char>", "<int>")):
            continue
        loop = [row.get(k, "") for k in ("share of products", "128-bit loads")]
        if row.get("loads"):
            loop[1] = f"{loop[1]} of {row['loads']}"
        rest = [row.get(k, "") for k in ("divisions", "local memory")]
        figures = [row["registers"], row["spills"], row["shared"], f"{row['occupancy']:.0%}"]
        lines.append(f"| {name} | " + " | ".join(str(v) for v in (*figures, *loop, *rest)) + " |")
    lines += ["", "| architecture | most registers | kernels with spills | least occupancy |",
              "|---|---|---|---|"]  # fmt: skip
    for architecture, rows in evidence["kernels"].items():
        spilling = sum(row["spills"] > 0 for row in rows.values())
        most = max(row["registers"] for row in rows.values())
        least = min(row["occupancy"] for row in rows.values())
        lines.append(f"| sm_{architecture} | {most} | {spilling} of {len(rows)} | {least:.0%} |")
    lines += [
        "",
        "Bytes moved over compulsory ones, by the shim: forward / backward_input / backward_weight,"
        " of pools forward / backward.",
        "The worst wavefronts over ideal ones of shared memory:"
        f" {max(row.get('wavefronts', 0) for row in evidence['bytes'].values())}.",
        "",
        *bytes_moved.table(evidence["bytes"]),
        "",
        "Shortest time of forward that a data sheet allows, in microseconds (not measured):",
        "",
        "| layer | " + " | ".join(GPUS) + " |",
        "|---|---|---|",
    ]
    for layer, row in evidence["roofline"].items():
        cells = " | ".join(f"{time} ({limit})" for time, limit in row.values())
        lines.append(f"| {layer} | {cells} |")
    return "\n".join(lines) + "\n"


def main(given: list[str] | None = None) -> int:
    shown = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shown)
    parser.add_argument("--architectures", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES)
    parser.add_argument("--types", nargs="+", choices=TYPES, default=TYPES)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args(given)
    nvcc = setup_cuda.find_nvcc()
    if nvcc is None:
        print("evidence needs nvcc, which is not in PATH, CUDA_HOME or /usr/local.")
        return 2
    before = committed() if FILE.exists() else {}
    known = before["kernels"] if before.get("compiler") == setup_cuda.version(nvcc) else {}
    found = collect(nvcc, list(chosen.architectures), list(chosen.types))
    evidence = {
        "compiler": setup_cuda.version(nvcc),
        "kernels": merged(known, found),
        "bytes": bytes_moved.bytes_moved(shim()),
        "roofline": roofline(),
    }
    print(tables(evidence))
    if chosen.write:
        FILE.write_text(compact(evidence))
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(before + BEGIN + tables(evidence) + END + rest.split(END)[1])
    return 0


def compact(evidence: dict) -> str:
    """JSON with one kernel a line."""
    text = json.dumps(evidence, indent=1)
    return re.sub(r"\n {4,}|\n {3}(?=[}\]])", " ", text) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
