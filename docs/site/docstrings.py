"""Reads the docstrings of fastconv for the site: references of Sphinx become links of Markdown, and
a section "Shapes:" becomes a list. An extension of griffe, which imports nothing.
"""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?P<role>func|class|mod):`(?P<name>[\w.]+)`")
_SHAPES = re.compile(r"^Shapes:\n(?P<lines>(?:[ ]{4}.*\n?|\n(?=[ ]{4}))+)", re.M)
# Public names that are the name of their module, too, where griffe finds the module.
_HIDDEN = {"fastconv.explain": "fastconv.explain.explain", "fastconv.flags": "fastconv.flags.flags"}


def _linked(found: re.Match) -> str:
    name = found["name"]
    if found["role"] == "mod" or not name.startswith("fastconv."):  # no page has them
        return f"`{name}`"
    return f"[`{name}`][{_HIDDEN.get(name, name)}]"


def _listed(found: re.Match) -> str:
    """An entry starts at four columns; what is deeper belongs to the entry before."""
    entries: list[str] = []
    for line in found["lines"].splitlines():
        if line.startswith(" " * 5) and entries:
            entries[-1] += " " + line.strip()
        elif line.strip():
            entries.append(line.strip())
    return "**Shapes**\n\n" + "\n".join(f"- {entry}" for entry in entries) + "\n"


def markdown_of(docstring: str) -> str:
    """The text of a docstring, for Markdown."""
    return _SHAPES.sub(_listed, _ROLE.sub(_linked, docstring))


class Docstrings(griffe.Extension):
    """Called for each object that griffe reads."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring:
            obj.docstring.value = markdown_of(obj.docstring.value)
