"""docs/surface.md names every convolution and pool of the installed torch, and what is so of it."""

import re
from pathlib import Path

import pytest
import surface
import torch
from reference import assert_all_equal

import fastconv

ROOT = Path(__file__).resolve().parents[2]
SELF = Path(__file__).name


def test_the_page_is_of_this_torch():
    _, rest = surface.PAGE.read_text().split(surface.BEGIN)
    if torch.__version__ < "2.13":
        pytest.skip("the page is of a newer torch")
    assert rest.split(surface.END)[0] == surface.table()


def test_each_row_names_a_test_that_is_there():
    for name in surface.symbols():
        file, _, test = surface.test_of(name, surface.status(name)).partition("::")
        text = (ROOT / "tests" / "torch" / file).read_text()
        assert f"\ndef {test}(" in text, name
        short = name.rpartition(".")[2]
        spelled = {short, short.removesuffix("_with_indices"), short.removeprefix("Lazy")}
        assert any(f'"{s}"' in text or f".{s}(" in text for s in spelled) or file == SELF, name


def _left(functions: bool) -> list[str]:
    names = [n for n in surface.symbols() if surface.status(n) == "left to torch and counted"]
    return [n.rpartition(".")[2] for n in names if ("functional" in n) is functions]


@pytest.mark.parametrize("name", _left(functions=False))
def test_layers_left_to_torch_are_counted(name: str):
    args = (1, 1, 1) if "Conv" in name else (2, 1) if "Fractional" in name else (2,)
    layer = getattr(torch.nn, name)(*args[1:] if "Lazy" in name else args)
    with pytest.warns(UserWarning, match="left 1 of 1"):
        fastconv.convert(layer)
    assert type(layer) is getattr(torch.nn, name)
    (row,) = fastconv.report(layer).rows
    assert row.computed_by == "torch" and row.why == f"{name} is not covered"


@pytest.mark.parametrize("name", _left(functions=True))
def test_functions_left_to_torch_are_counted(name: str, no_handovers):
    x = torch.randn(1, 2, *[4] * int(re.search(r"(\d)d", name)[1]))
    if "conv" in name:
        args = x, torch.randn(2, 1, *[2] * (x.dim() - 2))
    else:
        args = (x, 2, 1) if "fractional" in name else (x, 2)
    indices = name.endswith("_with_indices")
    short = name.removesuffix("_with_indices")
    results = []
    for package in (fastconv.functional, torch.nn.functional):
        torch.manual_seed(0)
        results.append(
            getattr(package, short)(*args, **{"return_indices": True} if indices else {})
        )
    assert_all_equal(*results)
    ((counted, why), calls), *more = fastconv.fallbacks().items()
    assert counted.removesuffix("_with_indices") == short and (why, calls, more) == (
        "not covered", 1, []
    )  # fmt: skip


def test_native_layers_are_public_and_keep_torchs_signature():
    for name in surface.symbols():
        short = name.rpartition(".")[2]
        if surface.status(name) == "native" and not name.startswith("nn.functional."):
            assert issubclass(getattr(fastconv, short), getattr(torch.nn, short))
            assert short in fastconv.__all__


def test_what_is_not_counted_is_not_there():
    left = [n for n in surface.symbols() if surface.status(n) == "torch's, not counted"]
    assert all(not hasattr(fastconv.functional, n.rpartition(".")[2]) for n in left)
