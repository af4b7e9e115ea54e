"""The layers of docs/architecture.md: a forbidden #include or import fails here."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CSRC, PACKAGE = ROOT / "csrc", ROOT / "fastconv"

# folder -> what its files may include, as patterns on the path between quotes or angle brackets
STANDARD = r"<[a-z_0-9]+>"
ALLOWED_INCLUDES = {
    "": [STANDARD],
    "cpu": [STANDARD, r"<Python\.h>", r'"\.\./shape\.h"', r'"[a-z_0-9]+\.h"'],
    "cpu/isa": [r"<(cstdint|cstring|immintrin\.h)>", r'"\.\./kernels\.h"', r'"[a-z_0-9]+\.inl"'],
    "bindings": [STANDARD, r"<Python\.h>", r'"\.\./shape\.h"', r'"\.\./cpu/[a-z_0-9]+\.h"',
                 r'"[a-z_0-9]+\.h"', r"<(pybind11/[a-z_0-9]+|sys/mman)\.h>"],
    "torch": [STANDARD, r"<(Python\.h|ATen/.*|c10/.*|torch/.*)>", r'"\.\./bindings/host\.h"',
              r'"[a-z_0-9]+\.h"'],
}  # fmt: skip
SOURCES = [p for p in CSRC.rglob("*") if p.suffix in {".h", ".cpp", ".inl"}]


def includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s+(<[^>]+>|"[^"]+")', path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(CSRC)))
def test_includes(path):
    folder = str(path.parent.relative_to(CSRC)).replace(".", "")
    for include in includes(path):
        assert any(re.fullmatch(p, include) for p in ALLOWED_INCLUDES[folder]), include


def test_only_parallel_h_and_bindings_know_the_thread_runtime():
    users = {str(p.relative_to(CSRC)) for p in SOURCES if "omp" in p.read_text().lower()
             and re.search(r"#pragma omp|omp_|GOMP_|<omp\.h>", p.read_text())}  # fmt: skip
    assert users == {"cpu/parallel.h", "bindings/system.cpp"}


def test_kernels_do_not_allocate_throw_or_read_the_environment():
    forbidden = r"\b(new|malloc|calloc|aligned_alloc|throw|getenv|printf|cout|vector<)\b"
    for path in SOURCES:
        if path.parent.name in {"cpu", "isa"} and path.name != "dispatch.cpp":
            code = re.sub(r"//.*", "", path.read_text())
            assert not re.search(forbidden, code), path


# Each module may import those of lower rank only; train and what it uses know nothing below
# `modules`.
RANKS = [
    "extension",
    "flags",
    "handover",
    "tensors",
    "ops",
    "fakes",
    "batching",
    "autograd_base",
    "autograd",
    "autograd_pool",
    "arguments",
    "eager",
    "functional",
    "functional1d",
    "modules",
    "info",
]
UPPER = {
    "bands",
    "models",
    "data",
    "train",
    "plots",
    "cli",
    "config",
    "checkpoint",
    "console",
    "files",
    "filters",
    "picture",
    "schema",
    "words",
    "__main__",
}


def imported(path: Path) -> set[str]:
    """Modules of fastconv that a file imports, without the package prefix."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fastconv":
            rest = node.module.split(".")[1:]
            names |= {rest[0]} if rest else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            parts = [a.name.split(".") for a in node.names]
            names |= {p[1] for p in parts if p[0] == "fastconv" and len(p) > 1}
    return names


@pytest.mark.parametrize("path", PACKAGE.rglob("*.py"), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    names = imported(path) - {"__version__"}
    if room == "__init__":
        assert names <= set(RANKS)
    elif room in RANKS:
        assert names <= set(RANKS[: RANKS.index(room)]) | {"_C"}, names
    else:
        assert room in UPPER, f"{room} has no place in the layers"
        assert names <= UPPER | {"modules", "functional", "info"}, names


def test_kernels_reach_python_through_one_door():
    for path in PACKAGE.rglob("*.py"):
        if "extension import _C" in path.read_text():
            assert path.stem in {"ops", "eager", "flags", "info"}, path
