"""Fonts for names that matplotlib's own font has no glyphs for, such as Chinese ones.

Layer: below the canvas.
"""

import logging
from collections.abc import Iterable

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

# Asked first; then any other that is installed. Beginnings of names: Noto has one per language.
PREFERRED = (
    "Noto Sans CJK",
    "Source Han Sans",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "IPAPGothic",
    "IPAGothic",
    "Droid Sans Fallback",
    "Noto Sans",
)
SHOWN = 10  # characters in a sentence

log = logging.getLogger("fastconv")
_named: set[str] = set()  # characters that a sentence has been about


def cover(figure: Figure, characters: set[str]) -> None:
    """Let the texts of ``figure`` use installed fonts that have ``characters``.

    Where none has, one sentence of the log names the characters and what to install, once.
    """
    families, missing = _families(characters)
    for text in figure.findobj(Text):
        text.set_fontfamily([*text.get_fontfamily(), *families])
    if not missing <= _named:
        _named.update(missing)
        some = " ".join(sorted(missing)[:SHOWN])
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        log.warning(
            f"no installed font has {some}{more}, which pictures show as boxes: install a font "
            "that has, for instance by apt-get install fonts-noto-cjk (other scripts: fonts-noto)"
        )


def _families(characters: set[str]) -> tuple[list[str], set[str]]:
    """Names of fonts that have ``characters``, as few as need be, and what none of them has."""
    families, missing = [], set(characters)
    for font in sorted(_installed(), key=_preference):
        if not missing:
            break
        try:
            has = {chr(code) for code in FT2Font(font.fname).get_charmap()}
        except (OSError, RuntimeError):  # removed, or damaged
            continue
        if missing & has:
            families.append(font.name)
            missing -= has
    return families, missing


def _installed() -> Iterable[FontEntry]:
    """matplotlib's list, which it keeps in a file, and what was installed later."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            try:
                font_manager.fontManager.addfont(path)
            except Exception:  # of a damaged font nearly anything, as matplotlib says itself
                log.debug("%s is no font that can be drawn", path)
    # Apple's and Unicode's last resort have a box for everything.
    return [
        font
        for font in font_manager.fontManager.ttflist
        if font.style == "normal" and "lastresort" not in font.name.lower().replace(" ", "")
    ]


def _preference(font: FontEntry) -> tuple[int, bool, str]:
    places = (i for i, start in enumerate(PREFERRED) if font.name.startswith(start))
    return next(places, len(PREFERRED)), font.weight not in (400, "normal"), font.name
