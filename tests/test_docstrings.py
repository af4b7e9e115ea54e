"""The reference: every public name is on a page, says each argument, and its examples run."""

import doctest
import inspect
import re
from pathlib import Path

import pytest
import torch

import fastconv
import fastconv.models

API = Path(__file__).resolve().parent.parent / "docs" / "api"
LAYERS = [name for name in fastconv.__all__ if isinstance(getattr(fastconv, name), type)
          and issubclass(getattr(fastconv, name), torch.nn.Module)]  # fmt: skip
LEFT_TO_TORCH = [name for name, function in vars(fastconv.functional.others).items()
                 if name in fastconv.functional.__all__]  # fmt: skip
FUNCTIONS = [f"functional.{name}" for name in fastconv.functional.__all__
             if name not in (*LEFT_TO_TORCH, "IntOrPair")]  # fmt: skip
OTHERS = [name for name in fastconv.__all__
          if name not in (*LAYERS, "functional", "tools", "__version__")]  # fmt: skip
MORE = ["models.build", "models.input_shape", "tools.fvcore_handles", "tools.thop_ops"]
SYMBOLS = [*LAYERS, *FUNCTIONS, *OTHERS, *MORE]


def found(name: str) -> object:
    value = fastconv
    for part in name.split("."):
        value = getattr(value, part)
    return value


def sections(docstring: str) -> dict[str, str]:
    """{"Args": its lines, ...}"""
    return dict(re.findall(r"^([A-Z]\w+):\n((?:    .*\n|\n(?=    ))+)", docstring + "\n", re.M))


def described(docstring: str) -> dict[str, str]:
    """Each entry of Args and Shapes: its name, or names, and its words."""
    entries: dict[str, str] = {}
    for title in ("Shapes", "Args"):
        text = re.sub(r"\n {8,}", " ", sections(docstring).get(title, ""))
        for names, words in re.findall(r"^    ([\w, ]+): (.*)$", text, re.M):
            entries |= dict.fromkeys(names.split(", "), words)
    return entries


def parameters(name: str) -> dict[str, inspect.Parameter]:
    """Of a function, or of the constructor that a layer or its parent of torch.nn has."""
    value = found(name)
    signature = inspect.signature(value.__init__ if isinstance(value, type) else value)
    kept = {n: p for n, p in signature.parameters.items() if n != "self"}
    if {"args", "kwargs"} & set(kept):  # LazyConv2d and such hand on
        return {}
    return kept


@pytest.mark.parametrize("name", SYMBOLS)
def test_examples_run(name):
    fastconv.fallbacks(reset=True)
    docstring = inspect.getdoc(found(name))
    names = {"torch": torch, "fastconv": fastconv}
    test = doctest.DocTestParser().get_doctest(docstring, names, name, None, 0)
    assert test.examples
    report: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert result.failed == 0, "".join(report)
    if name in (*LAYERS, *FUNCTIONS):
        assert fastconv.fallbacks() == {}


@pytest.mark.parametrize("name", [n for n in SYMBOLS if n not in ("Report", "ReportRow")])
def test_every_argument_is_described(name):
    entries = described(inspect.getdoc(found(name)))
    taken = parameters(name)
    assert [n for n in taken if n not in entries and n != "keywords"] == []
    if name in LAYERS:  # which have no signature on the page
        defaults = {n: p.default for n, p in taken.items() if p.default is not p.empty}
        said = {n: re.search(r"default (\"\w+\"|\w+)", entries[n]) for n in defaults}
        assert {n: s and s[1].replace('"', "'") for n, s in said.items()} == {
            n: repr(v) for n, v in defaults.items()
        }


@pytest.mark.parametrize("name", [*LAYERS, *FUNCTIONS])
def test_shapes_types_and_errors_are_said(name):
    if name == "functional.tracked":
        return
    docstring = inspect.getdoc(found(name))
    if not name.startswith("Lazy"):
        assert {"input", "output"} <= set(described(docstring))
    said = " ".join(docstring.split())
    assert re.search(
        r"types, devices and errors as in|Other types and devices are left", said, re.I
    )


def test_every_public_name_is_on_one_page():
    listed = re.findall(r"^::: fastconv\.([\w.]+)$",
                        "\n".join(p.read_text() for p in API.glob("*.md")), re.M)  # fmt: skip
    assert len(set(listed)) == len(listed)
    expected = {*SYMBOLS, *(f"functional.{name}" for name in LEFT_TO_TORCH)}
    hidden = {"explain", "flags"}  # griffe would find the modules
    expected = (expected - hidden) | {f"{name}.{name}" for name in hidden}
    assert set(listed) == expected | {"explain.Explanation", "explain.Row"}


def test_python_of_the_reference_runs():
    text = "\n".join(page.read_text() for page in sorted(API.glob("*.md")))
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    names = {"torch": torch, "fastconv": fastconv}
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), names, "api", None, 0)
    assert test.examples and doctest.DocTestRunner(verbose=False).run(test).failed == 0
