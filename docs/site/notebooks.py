"""Notebooks of the pages whose Python is written as a session: ``>>>`` lines become code cells.

A notebook holds what the page holds. Pictures are inside it, so that it may be moved.
``python docs/site/notebooks.py FOLDER`` writes them.
"""

import base64
import doctest
import json
import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent
PAGES = ("walkthrough", "coming-from-nn-conv2d")
_PYTHON = re.compile(r"^```python\n(.*?)^```\n?", re.M | re.S)
_PICTURE = re.compile(r"!\[(?P<words>[^\]]*)\]\((?P<path>[^)]+\.png)\)")


def cells_of(page: Path) -> list[dict]:
    """The cells of a page, in its order."""
    cells: list[dict] = []
    parts = _PYTHON.split(page.read_text())
    for index, part in enumerate(parts):
        if index % 2:
            more = {"execution_count": None, "outputs": []}
            cells += [_cell("code", typed, **more) for typed in _pieces(part)]
        elif part.strip():
            text, attachments = _with_pictures(part.strip(), page.parent)
            more = {"attachments": attachments} if attachments else {}
            cells.append(_cell("markdown", _plain_links(text), **more))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    return cells


def text_of(page: Path) -> str:
    """The notebook of a page, as JSON in version 4 of the format."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    found = {"cells": cells_of(page), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _cell(kind: str, text: str, **more: object) -> dict:
    return {"cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True), **more}


def _pieces(session: str) -> list[str]:
    """The typed lines of a session, cut after each that printed: a cell shows its last value."""
    pieces, typed = [], ""
    for example in doctest.DocTestParser().get_examples(session):
        typed += example.source
        if example.want:
            pieces.append(typed.rstrip())
            typed = ""
    return [*pieces, typed.rstrip()] if typed else pieces


def _with_pictures(text: str, folder: Path) -> tuple[str, dict]:
    found: dict[str, dict] = {}

    def attached(match: re.Match) -> str:
        name = match["path"].replace("/", "-")
        content = base64.b64encode((folder / match["path"]).read_bytes()).decode()
        found[name] = {"image/png": content}
        return f"![{match['words']}](attachment:{name})"

    return _PICTURE.sub(attached, text), found


def _plain_links(text: str) -> str:
    """Links to files lead nowhere from a notebook; their words stay."""
    return re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:)[^)]+\)", r"\1", text)


def write(folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in PAGES:
        written.append(folder / f"{name}.ipynb")
        written[-1].write_text(text_of(DOCS / f"{name}.md"))
    return written


if __name__ == "__main__":
    for path in write(Path(sys.argv[1])):
        print(path)
