"""Pictures of names that matplotlib's font lacks, or takes for formulas; and MPLBACKEND."""

import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from PIL import Image

from fastconv import plots
from fastconv.plots import fonts

CLASSES = ("猫", "犬 dog")
MATRIX = torch.tensor([[9, 1], [2, 8]])


@pytest.fixture(autouse=True)
def bare_system(monkeypatch):
    """No font is installed beside matplotlib's own, and no sentence has been said."""
    manager = font_manager.fontManager
    own = [font for font in manager.ttflist if Path(font.fname).is_relative_to(
        Path(font_manager.__file__).parent)]  # fmt: skip
    monkeypatch.setattr(manager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [])
    monkeypatch.setattr(fonts, "_named", set())


def font(path: Path, family: str, characters: str) -> str:
    """A font whose every glyph is a black square."""
    pen = TTGlyphPen(None)
    for point in ((0, 0), (0, 900), (900, 900), (900, 0)):
        (pen.lineTo if pen.points else pen.moveTo)(point)
    pen.closePath()
    names = [".notdef", *(f"u{ord(letter):04X}" for letter in characters)]
    square = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): f"u{ord(letter):04X}" for letter in characters})
    builder.setupGlyf(dict.fromkeys(names, square))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return str(path)


def drawn(folder: Path, classes: tuple[str, ...] = CLASSES) -> numpy.ndarray:
    path = folder / "confusion.png"
    plots.confusion({"fastconv": MATRIX}, classes, "Test images", path)
    with Image.open(path) as image:
        return numpy.array(image.convert("L"))


def test_installed_font_is_used(tmp_path: Path, monkeypatch, caplog, recwarn):
    boxes = drawn(tmp_path)
    caplog.clear()
    found = [
        font(tmp_path / "other.ttf", "Another", "猫犬"),
        font(tmp_path / "cat.ttf", "Noto Sans CJK JP", "猫"),
        str(tmp_path / "damaged.ttf"),
    ]
    (tmp_path / "damaged.ttf").write_bytes(b"no font")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: found)
    squares = drawn(tmp_path)
    assert not caplog.records and not recwarn.list
    # Twice two squares of some 14 dots, black where the box of a missing glyph is hollow.
    assert (squares < 50).sum() - (boxes < 50).sum() > 4 * 100
    assert fonts._families({"猫", "犬"}) == (["Noto Sans CJK JP", "Another"], set())


def test_without_a_font_one_sentence_is_said(tmp_path: Path, caplog, recwarn):
    for _ in range(2):
        drawn(tmp_path)
    assert not recwarn.list
    (record,) = caplog.records
    sentence = record.getMessage()
    assert sentence.startswith("no installed font has 犬 猫, which") and "\n" not in sentence
    assert "fonts-noto-cjk" in sentence
    drawn(tmp_path, ("猫", "𓃠"))
    assert "no installed font has 猫 𓃠" in caplog.records[1].getMessage()


def test_command_says_it_on_one_line(tmp_path: Path):
    code = (
        "from matplotlib import font_manager; font_manager.findSystemFonts = lambda: []\n"
        "import sys, torch; from pathlib import Path; from fastconv import plots\n"
        "manager = font_manager.fontManager\n"
        "manager.ttflist = [f for f in manager.ttflist if 'mpl-data' in f.fname]\n"
        "plots.confusion({'a': torch.eye(2).long()}, ('猫', 'b'), 't', Path(sys.argv[1]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.png"], capture_output=True, text=True
    )
    assert ran.returncode == 0
    assert ran.stderr.startswith("no installed font has 猫") and ran.stderr.count("\n") == 1


def test_dollars_are_no_formula(tmp_path: Path):
    classes = (r"$\frac$", "a$b$")
    drawn(tmp_path, classes)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(8, 2))
    path = tmp_path / "features.png"
    plots.features(model, torch.randn(1, 4, 4), classes, r"$\x$.png through", path)
    assert path.exists()


@pytest.mark.parametrize(
    "backend", ["module://matplotlib_inline.backend_inline", "no_such_backend", "svg", ""]
)
def test_backend_of_the_shell(backend: str):
    """A notebook's shell names a module that need not be installed; a good name stays in force."""
    code = (
        "import os, fastconv.plots, matplotlib\n"
        "print(os.environ.get('MPLBACKEND'))\n"
        "print(dict.__getitem__(matplotlib.rcParams, 'backend'))"
    )
    env = {**os.environ, "MPLBACKEND": backend}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert ran.returncode == 0, ran.stderr
    kept, used = ran.stdout.split("\n")[:2]
    assert kept == backend and (used == "svg" or backend != "svg")
