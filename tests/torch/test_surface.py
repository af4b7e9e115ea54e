"""docs/surface.md names every convolution and pool of the installed torch, and what is so of it."""

from pathlib import Path

import pytest
import surface
import torch

import fastconv

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_of_this_torch():
    _, rest = surface.PAGE.read_text().split(surface.BEGIN)
    if torch.__version__ < "2.13":
        pytest.skip("the page is of a newer torch")
    assert rest.split(surface.END)[0] == surface.table()


def test_each_row_names_a_test_file_that_names_the_symbol():
    for name in surface.symbols():
        file = ROOT / "tests" / "torch" / surface.test_of(name, surface.status(name))
        assert file.exists(), name


def test_native_layers_are_public_and_keep_torchs_signature():
    for name in surface.symbols():
        short = name.rpartition(".")[2]
        if surface.status(name) == "native" and not name.startswith("nn.functional."):
            assert issubclass(getattr(fastconv, short), getattr(torch.nn, short))
            assert short in fastconv.__all__


def test_what_is_not_counted_is_not_there():
    left = [n for n in surface.symbols() if surface.status(n) == "torch's, not counted"]
    assert all(not hasattr(fastconv.functional, n.rpartition(".")[2]) for n in left)
