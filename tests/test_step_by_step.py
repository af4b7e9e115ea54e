"""The page "Convolution, step by step": its arithmetic is fastconv's, and its controls work."""

import json
import re
from itertools import product
from pathlib import Path

import browser
import pytest
import torch

from fastconv import functional

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "step-by-step.md").read_text()
BODY = re.search(r"<div.*?</div>", PAGE, re.S)[0]
SCRIPTS = ["convolution.js", "step_by_step.js"]
needs_browser = pytest.mark.skipif(browser.BROWSER is None, reason="no browser is installed")
needs_node = pytest.mark.skipif(browser.NODE is None, reason="Node.js is not installed")

# Of one axis: (extent, kernel, stride, padding, dilation); the axes are paired.
ROWS = [(1, 1, 1, 0, 1), (5, 3, 1, 1, 1), (7, 2, 2, 0, 1), (6, 3, 1, 4, 2), (3, 3, 6, 1, 1)]
COLUMNS = [(1, 1, 1, 0, 1), (6, 4, 1, 2, 1), (11, 3, 3, 2, 4), (4, 7, 1, 3, 1), (8, 2, 5, 0, 3)]


def cases() -> list[dict]:
    found = []
    for axes in product(ROWS, COLUMNS):
        extent, kernel, stride, padding, dilation = zip(*axes, strict=True)
        layout = {"stride": stride, "padding": padding, "dilation": dilation}
        x, w = torch.randint(-9, 10, extent).tolist(), torch.randint(-3, 4, kernel).tolist()
        found.append({"x": x, "w": w, "layout": layout})
    return found


def by_fastconv(case: dict) -> list:
    x, w = (torch.tensor(case[name], dtype=torch.float64)[None, None] for name in ("x", "w"))
    layout = {name: tuple(pair) for name, pair in case["layout"].items()}
    return functional.conv2d(x, w, **layout)[0, 0].tolist()


COMPUTE = """
  return CASES.map(({x, w, layout}) => [
    fastconvSteps.convolve(x, w, layout), fastconvSteps.outputSize(x, w, layout),
    fastconvSteps.terms(x, w, layout, 0, 0).length]);
"""


@pytest.mark.parametrize(
    "run",
    [pytest.param(browser.in_browser, marks=needs_browser, id="browser"),
     pytest.param(browser.in_node, marks=needs_node, id="node")],
)  # fmt: skip
def test_results_are_those_of_conv2d(run):
    given = cases()
    assert len(given) == 25
    code = f"const CASES = {json.dumps(given)};{COMPUTE}"
    for case, (y, size, terms) in zip(given, run(["convolution.js"], code), strict=True):
        expected = by_fastconv(case)
        assert y == expected
        assert size == [len(expected), len(expected[0])]
        assert terms == len(case["w"]) * len(case["w"][0])


@needs_node
def test_text_is_read_and_numbers_are_written():
    code = """
      const {parse, written} = fastconvSteps;
      return [parse("1 2\\n-3, 4.5\\n"), parse("1 2\\n3"), parse("1 a"), parse(" \\n"),
              [1, -2, 0.33333, -0].map(written)];
    """
    matrix, differ, letters, nothing, written = browser.in_node(["convolution.js"], code)
    assert matrix == [[1, 2], [-3, 4.5]]
    assert "differ" in differ and "numbers" in letters and "no numbers" in nothing
    assert written == ["1", "\u22122", "0.333", "0"]


# Helpers of the tests below: a field by its name, text that is shown, cells of a drawing.
HELPERS = """
  const root = document.getElementById("convolution-steps");
  const field = (name) => root.querySelector(`[data-field="${name}"]`);
  const action = (name) => root.querySelector(`[data-action="${name}"]`);
  const set = (name, value, kind = "change") => {
    field(name).value = value;
    field(name).dispatchEvent(new Event(kind, {bubbles: true}));
  };
  const all = (selector) => [...root.querySelectorAll(selector)];
  const texts = (figure, kind) =>
    all(`[data-figure="${figure}"] ${kind} text`).map((t) => t.textContent);
  const sum = () => root.querySelector(".sum").textContent;
"""


@needs_browser
def test_the_page_walks_through_the_output():
    code = (
        HELPERS
        + """
      set("x", "1 2 3\\n4 5 6\\n7 8 9", "input");
      set("w", "1 0\\n0 -1", "input");
      for (const axis of [0, 1]) set(`padding${axis}`, 0);
      const shown = {formula: root.querySelector(".formula").textContent, first: sum()};
      shown.under = texts("input", ".under");
      action("next").click();
      shown.second = sum();
      shown.output = texts("output", ".cell");
      root.querySelector('[data-figure="output"] [data-row="1"][data-column="1"] rect')
        .dispatchEvent(new MouseEvent("click", {bubbles: true}));
      shown.last = root.querySelector(".count").textContent;
      shown.atEnd = [action("next").disabled, action("previous").disabled];
      action("play").click();
      shown.playing = action("play").textContent;
      await new Promise((done) => setTimeout(done, 6000));
      shown.played = [action("play").textContent, field("slider").value];
      set("slider", 2, "input");
      shown.slid = root.querySelector(".said").textContent;
      return shown;
    """
    )
    shown = browser.in_browser(SCRIPTS, code, BODY)
    assert shown["first"] == "y[0, 0] = 1 · 1 + 0 · 2 + 0 · 4 + \u22121 · 5 = \u22124"
    assert shown["under"] == ["1", "2", "4", "5"]
    assert shown["second"].startswith("y[0, 1] = 1 · 2")
    assert shown["output"] == ["\u22124", "\u22124", "", ""]
    assert "(3 + 2 * 0 - 1 * (2 - 1) - 1) // 1 + 1" in shown["formula"]
    assert shown["last"] == "step 4 of 4" and shown["atEnd"] == [True, False]
    assert shown["playing"] == "Pause" and shown["played"] == ["Play", "3"]
    assert shown["slid"] == "row 1, column 0: \u22124"


@needs_browser
def test_padding_dilation_and_what_does_not_fit_are_shown():
    code = (
        HELPERS
        + """
      set("image0", 4); set("image1", 4); set("kernel0", 2); set("kernel1", 3);
      set("preset", "ones");
      set("padding0", 1); set("padding1", 2); set("dilation0", 3); set("dilation1", 2);
      const shown = {};
      shown.zeros = texts("input", ".zero").length;
      shown.under = [...root.querySelectorAll('[data-figure="input"] .under')].map(
        (cell) => [Number(cell.dataset.row), Number(cell.dataset.column)]);
      set("kernel0", 7); set("dilation0", 4);
      shown.wrong = root.querySelector(".wrong").textContent;
      shown.hidden = root.querySelector(".shown").hidden;
      set("padding0", 99);
      shown.limited = field("padding0").value;
      set("kernel0", 1);
      set("x", "1 2\\n3", "input");
      shown.ragged = root.querySelector(".wrong").textContent;
      shown.unnamed = [...root.querySelectorAll("input, textarea, select, svg")].filter((e) =>
        !e.getAttribute("aria-label") && e.closest("label") === null).length;
      return shown;
    """
    )
    shown = browser.in_browser(SCRIPTS, code, BODY)
    assert shown["zeros"] == 6 * 8 - 4 * 4
    assert shown["under"] == [[0, 0], [0, 2], [0, 4], [3, 0], [3, 2], [3, 4]]
    assert "reaches over 25 rows" in shown["wrong"] and "has 6" in shown["wrong"]
    assert shown["hidden"] is True
    assert shown["limited"] == "4"
    assert "differ in length" in shown["ragged"]
    assert shown["unnamed"] == 0


@needs_browser
def test_who_wants_less_motion_gets_none():
    style = f'<link rel="stylesheet" href="{(browser.ASSETS / "site.css").as_uri()}">'
    code = (
        HELPERS
        + """
      return [".frame", ".cell rect"].map((selector) =>
        getComputedStyle(root.querySelector(selector)).transitionDuration);
    """
    )
    assert browser.in_browser(SCRIPTS, code, style + BODY) == ["0.35s", "0.25s"]
    less = ("--force-prefers-reduced-motion",)
    assert browser.in_browser(SCRIPTS, code, style + BODY, flags=less) == ["0s", "0s"]
