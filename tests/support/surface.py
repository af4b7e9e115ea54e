"""The table of docs/surface.md, from what torch and fastconv have.

`python tests/support/surface.py` writes it.
"""

import re
from pathlib import Path

from torch import nn

import fastconv
from fastconv import conversion
from fastconv.functional import others

PAGE = Path(__file__).resolve().parents[2] / "docs" / "surface.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
WORDS = re.compile(r"conv|pool", re.IGNORECASE)

# Symbols -> the test file that holds their tests, the first pattern that fits.
_TESTS = [
    (r"nn\.(Conv2d|MaxPool2d|AvgPool2d|AdaptiveAvgPool2d|Conv1d)$", "test_modules.py"),
    (r"nn\.functional\.conv1d$", "test_conv1d.py"),
    (r"nn\.functional\.conv2d$", "test_functional_conv2d.py"),
    (r"nn\.functional\.max_pool2d(_with_indices)?$", "test_functional_max_pool2d.py"),
    (r"nn\.functional\.(adaptive_)?avg_pool2d$", "test_functional_avg_pool2d.py"),
    (
        r"nn\.(functional\.)?(adaptive_max_pool2d|AdaptiveMaxPool2d)",
        "test_functional_adaptive_max_pool2d.py",
    ),
    (r"nn\.functional\.", "test_functional_surface.py"),
    (r"nn\.Lazy", "test_modules.py"),
    (r"nn\.", "test_modules.py"),
]


def symbols() -> list[str]:
    """Names in torch of every convolution and pool of torch.nn and torch.nn.functional."""
    names = [f"nn.{n}" for n in vars(nn) if WORDS.search(n) or "Unpool" in n]
    names += [f"nn.functional.{n}" for n in vars(nn.functional) if WORDS.search(n)]
    public = [n for n in names if not n.rpartition(".")[2].startswith("_")]
    return [n for n in public if callable(_found(n))]


def _found(name: str) -> object:
    owner = nn.functional if name.startswith("nn.functional.") else nn
    return getattr(owner, name.rpartition(".")[2])


def status(name: str) -> str:
    """ "native", "handed over and reported" or "torch's, not counted"."""
    short = name.rpartition(".")[2].removesuffix("_with_indices")
    if not name.startswith("nn.functional."):
        return "native" if _found(name) in conversion.TWINS else "handed over and reported"
    if not hasattr(fastconv.functional, short):
        return "torch's, not counted"
    return "handed over and reported" if hasattr(others, short) else "native"


def test_of(name: str, state: str) -> str:
    if state == "torch's, not counted":
        return "test_surface.py"
    if state != "native" and not name.startswith("nn.functional."):
        return "test_conversion_report.py"
    return next(file for pattern, file in _TESTS if re.match(pattern, name))


def table() -> str:
    rows = []
    for name in sorted(symbols()):
        state = status(name)
        rows.append(f"| `torch.{name}` | {state} | `tests/torch/{test_of(name, state)}` |\n")
    return "| symbol | computed by fastconv | test |\n|---|---|---|\n" + "".join(rows)


if __name__ == "__main__":
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.split(END)[1])
