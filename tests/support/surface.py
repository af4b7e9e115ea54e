"""The table of docs/surface.md: which convolutions and pools of torch fastconv computes, and tests.

`python tests/support/surface.py` writes the table from what torch and fastconv have.
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

_LEFT = "test_surface.py::test_{}_left_to_torch_are_counted"
# The test that compares a symbol with torch's: the first pattern that matches the symbol has it.
_TESTS = [
    (r"nn\.(Conv2d|MaxPool2d|AvgPool2d|AdaptiveAvgPool2d|Conv1d)$",
     "test_modules.py::test_forward_and_backward_equal_torchs"),
    (r"nn\.AdaptiveMaxPool2d$",
     "test_functional_adaptive_max_pool2d.py::test_module_and_routing"),
    (r"nn\.MaxUnpool", "test_functional_max_unpool.py::test_layers"),
    (r"nn\.functional\.max_unpool", "test_functional_max_unpool.py::test_like_torch"),
    (r"nn\.Lazy", "test_modules.py::test_lazy_layers_become_ours"),
    (r"nn\.[A-Z]", "test_modules.py::test_layers_of_rows_and_volumes_and_transposed_ones"),
    (r"nn\.functional\.conv1d$", "test_conv1d.py::test_forward_and_backward"),
    (r"nn\.functional\.conv2d$", "test_functional_conv2d.py::test_value_and_gradients"),
    (r"nn\.functional\.max_pool2d(_with_indices)?$",
     "test_functional_max_pool2d.py::test_max_pool2d"),
    (r"nn\.functional\.avg_pool2d$", "test_functional_avg_pool2d.py::test_avg_pool2d"),
    (r"nn\.functional\.adaptive_avg_pool2d$",
     "test_functional_avg_pool2d.py::test_adaptive_avg_pool2d"),
    (r"nn\.functional\.adaptive_max_pool2d",
     "test_functional_adaptive_max_pool2d.py::test_like_torch"),
    (r"nn\.functional\.lp_", "test_functional_surface.py::test_power_averages"),
    (r"nn\.functional\.conv", "test_functional_surface.py::test_convolutions"),
    (r"nn\.functional\.", "test_functional_surface.py::test_pools"),
]  # fmt: skip


def symbols() -> list[str]:
    """Returns the names of every convolution and pool of torch.nn and torch.nn.functional."""
    names = [f"nn.{n}" for n in vars(nn) if WORDS.search(n) or "Unpool" in n]
    names += [f"nn.functional.{n}" for n in vars(nn.functional) if WORDS.search(n)]
    public = [n for n in names if not n.rpartition(".")[2].startswith("_")]
    return [n for n in public if callable(_found(n))]


def _found(name: str) -> object:
    owner = nn.functional if name.startswith("nn.functional.") else nn
    return getattr(owner, name.rpartition(".")[2])


def status(name: str) -> str:
    """ "native", "left to torch and counted" or "torch's, not counted"."""
    short = name.rpartition(".")[2].removesuffix("_with_indices")
    if not name.startswith("nn.functional."):
        return "native" if _found(name) in conversion.TWINS else "left to torch and counted"
    if not hasattr(fastconv.functional, short):
        return "torch's, not counted"
    return "left to torch and counted" if hasattr(others, short) else "native"


def test_of(name: str, state: str) -> str:
    if state == "torch's, not counted":
        return "test_surface.py::test_what_is_not_counted_is_not_there"
    if state != "native":
        return _LEFT.format("functions" if name.startswith("nn.functional.") else "layers")
    return next(test for pattern, test in _TESTS if re.match(pattern, name))


def table() -> str:
    rows = []
    for name in sorted(symbols()):
        state = status(name)
        rows.append(f"| `torch.{name}` | {state} | `tests/torch/{test_of(name, state)}` |\n")
    return "| symbol | computed by fastconv | test |\n|---|---|---|\n" + "".join(rows)


if __name__ == "__main__":
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.split(END)[1])
