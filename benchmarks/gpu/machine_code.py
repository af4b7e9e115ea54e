"""Hot loops in the machine code of CUDA kernels, as nvdisasm prints it."""

import importlib.util
import os
import re
import shutil
from pathlib import Path

_LINE = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)(.*)")
_PRODUCTS = ("FFMA", "DFMA", "HMMA", "HFMA2.")
_DIVISION = r"F2I|CALL.*(div|rem)_[su]"  # of integers: by way of a float, or a call


def loops_of(sass: list[str]) -> list[list[str]]:
    """The instructions of each innermost loop of a function."""
    labels, code = {}, []
    for line in sass:
        if label := re.match(r"(\.L_x_\d+):", line.strip()):
            labels[label[1]] = len(code)
        elif found := _LINE.search(line):
            code.append((found[2], found[3]))
    spans = []
    for at, (opcode, rest) in enumerate(code):
        target = re.search(r"`\((\.L_x_\d+)\)", rest) if opcode.startswith("BRA") else None
        if target and labels.get(target[1], at + 1) <= at:
            spans.append((labels[target[1]], at))
    spans = [s for s in spans if s[0] != s[1]]  # the trap behind a kernel's end
    inner = [s for s in spans if not any(s != o and s[0] <= o[0] and o[1] <= s[1] for o in spans)]
    return [[f"{opcode}{rest}" for opcode, rest in code[a : b + 1]] for a, b in inner]


def count(loop: list[str], *opcodes: str) -> int:
    return sum(line.startswith(opcodes) for line in loop)


def hot_loop(sass: list[str]) -> dict:
    """Of the innermost loop with the most products, or else the most loads."""
    loops = loops_of(sass)
    if not loops:
        return {}
    loop = max(loops, key=lambda c: (count(c, *_PRODUCTS), count(c, "LDG"), len(c)))
    loads = [line for line in loop if line.startswith(("LDG", "LDS", "LDSM"))]
    return {
        "instructions": len(loop),
        "share of products": round(count(loop, *_PRODUCTS) / len(loop), 3),
        "loads": len(loads),
        "128-bit loads": sum(".128" in line or line.startswith("LDSM") for line in loads),
        "divisions": sum(re.match(_DIVISION, line) is not None for line in loop),
        "local memory": count(loop, "LDL", "STL"),
    }


def nvdisasm() -> str | None:
    """The disassembler: in PATH, in CUDA_HOME, or in NVIDIA's Python package."""
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    places = [shutil.which("nvdisasm"), f"{home}/bin/nvdisasm"]
    if package := importlib.util.find_spec("nvidia"):
        places += [str(p) for root in package.submodule_search_locations
                   for p in Path(root).glob("*/bin/nvdisasm")]  # fmt: skip
    return next((p for p in places if p and os.access(p, os.X_OK)), None)


def parse_sass(text: str) -> dict[str, dict]:
    """{mangled kernel: its hot loop}"""
    parts = re.split(r"^\s*\.section\s+\.text\.(\S+?),.*$", text, flags=re.MULTILINE)
    return {
        name: hot_loop(body.splitlines())
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }
