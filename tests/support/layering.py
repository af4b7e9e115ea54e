"""The doors between the rooms of docs/architecture.md: which file may include or import which.

`violations` reads a tree and returns one sentence for each forbidden door; test_layering.py asks it
of this tree, and of trees with one planted violation each.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

FAMILIES = ("depthwise", "dilated", "direct", "gemm", "grouped", "winograd", "pool", "reference")
CUDA_FAMILIES = ("depthwise", "dilated", "direct", "gemm", "pool")
# Room of csrc/ -> the rooms whose headers it may include, besides its own and the standard library.
# The longest room that holds a file counts.
CPP_DOORS = {
    "core": [],
    "cpu/common": ["core", "cpu/simd"],
    "cpu/simd": ["core", "cpu/common"],
    **{f"cpu/{family}": ["core", "cpu/common", "cpu/simd", "cpu/gemm"] for family in FAMILIES},
    "cpu/dilated": ["core", "cpu/common", "cpu/gemm", "cpu/winograd"],
    "cpu/paths": ["core", "cpu/common", "cpu/simd", *(f"cpu/{family}" for family in FAMILIES)],
    "cuda/simt": [],  # a room of its own: tests compile kernels with it, nothing else includes it
    "cuda/common": ["core", "cuda/simt"],
    **{f"cuda/{family}": ["core", "cuda/common"] for family in CUDA_FAMILIES},
    "cuda/paths": ["core", "cuda/common", *(f"cuda/{family}" for family in CUDA_FAMILIES)],
    "cuda/bindings": ["core", "bindings", "runtime", "cuda/common", "cuda/paths"],
    "runtime": ["core", "cpu/common", "cpu/simd", "cpu/pool", "cpu/paths"],
    "bindings": ["core", "runtime"],
    "torch": ["core", "bindings"],
}
# Headers in angle brackets besides the standard library's.
FOREIGN_HEADERS = {
    "cpu/common": r"cpuid\.h",
    "cpu/simd": r"immintrin\.h",
    "cuda/common": r"cuda_[a-z_0-9]+\.h|mma\.h",
    "cuda/bindings": r"pybind11/.*",
    "cuda/simt": r"sys/mman\.h|ucontext\.h|dlfcn\.h",
    "runtime": r"sys/mman\.h",
    "bindings": r"Python\.h|pybind11/.*",
    "torch": r"Python\.h|ATen/.*|c10/.*|torch/.*|pybind11/.*",
}
STANDARD_HEADER = r"[a-z_0-9]+"
# Single files that need more than their room.
MORE_DOORS = {"bindings/debug.cpp": ["cpu/simd", "cpu/winograd"]}
FORBIDDEN_IN_KERNELS = r"\b(new|malloc|calloc|aligned_alloc|throw|getenv|printf|cout|vector<)\b"
THREAD_RUNTIME = r"#pragma omp|omp_|GOMP_|<omp\.h>"
USERS_OF_THREADS = {"cpu/common/parallel.h", "bindings/system.cpp"}
ASKS_ENVIRONMENT = {"cpu/common/isa.cpp"}  # FASTCONV_ISA, once per process

# Modules of fastconv/, lowest first: each may import those before it.
CORE = [
    "extension",
    "fallbacks",
    "overrides",
    "tensors",
    "cpu",
    "decompositions",
    "inductor",
    "fakes",
    "arguments",
    "operators",
    "ops",
    "cuda",
    "batching",
    "autograd_base",
    "autograd",
    "autograd_pool",
    "autograd_unpool",
    "derivatives",
    "watching",
    "casts",
    "eager",
]
PUBLIC = [
    "memory",
    "tables",
    "flags",
    "functional.dim2",
    "functional.dim2_pool",
    "functional.dim1",
    "functional.dim3",
    "functional.dim3_pool",
    "functional.lp",
    "functional.transposed",
    "functional.unpool",
    "functional.others",
    "functional",
    "routing",
    "modules_same",
    "modules",
    "modules_conv",
    "modules_pool",
    "conversion",
    "tools",
    "clock",
    "timing",
    "explain",
    "info",
]
RANKS = [*(f"core.{name}" for name in CORE), *PUBLIC]
APPLICATION = {"models", "data", "train", "plots", "cli", "__main__"}
FOR_APPLICATION = {
    "modules",
    "functional",
    "conversion",
    "explain",
    "info",
    "memory",
    "tables",
}
USERS_OF_C = {"core.cpu", "core.operators", "core.eager", "flags", "explain", "info"}

CODE = {".h", ".cpp", ".inl", ".cu", ".cuh", ".py"}
ROOMS_OF_CODE = ("csrc", "fastconv", "tests", "benchmarks")
MOST_LINES = 300  # of a file, without docstrings
LONGER = {  # and why
    "csrc/cpu/depthwise/correlate.cpp": "one driver of two layouts, 5 lines over",
    "csrc/cuda/simt/memory.cpp": "guards, shadow and reports of one allocation, 4 lines over",
}


def cpp_files(csrc: Path) -> list[Path]:
    return sorted(p for p in csrc.rglob("*") if p.suffix in {".h", ".cpp", ".inl", ".cu", ".cuh"})


def room_of(path: str) -> str | None:
    """The room of a path relative to csrc/."""
    rooms = [room for room in CPP_DOORS if path.startswith(room + "/")]
    return max(rooms, key=len, default=None)


def _include_violations(csrc: Path, path: Path) -> Iterator[str]:
    name = path.relative_to(csrc).as_posix()
    room = room_of(name)
    if room is None:
        yield f"{name} lies in no room"
        return
    doors = [room, *CPP_DOORS[room], *MORE_DOORS.get(name, [])]
    text = path.read_text()
    for header in re.findall(r"^\s*#\s*include\s+<([^>]+)>", text, re.MULTILINE):
        pattern = f"{STANDARD_HEADER}|{FOREIGN_HEADERS.get(room, STANDARD_HEADER)}"
        if not re.fullmatch(pattern, header):
            yield f"{name} includes <{header}>"
    for header in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.MULTILINE):
        target = (path.parent / header).resolve().relative_to(csrc.resolve()).as_posix()
        if room_of(target) not in doors:
            yield f"{name} includes {target}"


def _code_violations(csrc: Path, path: Path) -> Iterator[str]:
    name = path.relative_to(csrc).as_posix()
    code = re.sub(r"//.*", "", path.read_text())
    if re.search(THREAD_RUNTIME, code) and name not in USERS_OF_THREADS:
        yield f"{name} knows the thread runtime"
    kernels = name.startswith(("cpu/", "cuda/")) and name not in ASKS_ENVIRONMENT
    kernels = kernels and room_of(name) not in {"cuda/simt", "cuda/bindings"}
    found = re.search(FORBIDDEN_IN_KERNELS, code) if kernels or name.startswith("core/") else None
    if found:
        yield f"{name} has '{found.group()}': kernels do not allocate, throw, print or ask"


def imported(path: Path, modules: set[str]) -> set[str]:
    """Modules of fastconv that a file imports, without the package's name."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fastconv":
            base = ".".join(node.module.split(".")[1:])
            for alias in node.names:
                full = f"{base}.{alias.name}" if base else alias.name
                names.add(full if full in modules or not base else base)
        elif isinstance(node, ast.Import):
            packages = [alias.name.partition(".") for alias in node.names]
            names |= {rest for package, _, rest in packages if package == "fastconv"}
    return names - {"", "__version__"}


def _import_violations(package: Path, path: Path, modules: set[str]) -> Iterator[str]:
    name = ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
    names = imported(path, modules)
    rooms = {n.split(".")[0] for n in names}
    if name in ("__init__", "core"):
        forbidden = names - set(RANKS)
    elif name in RANKS:
        forbidden = names - set(RANKS[: RANKS.index(name)]) - {"core.extension", "_debug"}
    elif name.split(".")[0] in APPLICATION:
        forbidden = rooms - APPLICATION - FOR_APPLICATION
    else:
        yield f"fastconv/{name} lies in no room"
        return
    for other in sorted(forbidden):
        yield f"fastconv.{name} imports fastconv.{other}"
    if "extension import _C" in path.read_text() and name not in USERS_OF_C:
        yield f"fastconv.{name} reaches the kernels past core.cpu"


def _lines(path: Path) -> int:
    """Lines of a file. Docstrings, which are the reference of the public names, do not count."""
    text = path.read_text()
    count = text.count("\n")
    if path.suffix != ".py" or count <= MOST_LINES:
        return count
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
            node
        ):
            count -= node.body[0].end_lineno - node.body[0].lineno + 1
    return count


def _long_files(root: Path) -> Iterator[str]:
    for path in sorted(p for room in ROOMS_OF_CODE for p in (root / room).rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.suffix in CODE and name not in LONGER and _lines(path) > MOST_LINES:
            yield f"{name} has {_lines(path)} lines, more than {MOST_LINES}"


def violations(root: Path) -> list[str]:
    csrc, package = root / "csrc", root / "fastconv"
    found: list[str] = list(_long_files(root))
    for path in cpp_files(csrc):
        found += [*_include_violations(csrc, path), *_code_violations(csrc, path)]
    files = sorted(package.rglob("*.py"))
    modules = {".".join(p.relative_to(package).with_suffix("").parts) for p in files}
    modules |= {m.removesuffix(".__init__") for m in modules}
    for path in files:
        found += _import_violations(package, path, modules)
    return found
