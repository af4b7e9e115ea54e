"""The tables of docs/api/command-line.md, from the parser of the commands.

``python tests/support/command_table.py`` writes them anew.
"""

import argparse
import re
from pathlib import Path

from fastconv.cli import _parser

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api" / "command-line.md"
BEGIN, END = "<!-- commands: begin -->", "<!-- commands: end -->"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")


def _name(action: argparse.Action) -> str:
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    value = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    if isinstance(action, argparse.BooleanOptionalAction) or action.nargs == 0:
        return names
    return f"{names} {_cell(str(value))}" if names else f"`{value}`"


def _meaning(action: argparse.Action) -> str:
    text = action.help or ""
    values = {**vars(action), "prog": "fastconv"}
    if action.choices is not None:
        values["choices"] = ", ".join(map(str, action.choices))
    text = text % values
    if action.choices is not None and len(list(action.choices)) <= 12:
        text += f" (one of {values['choices']})"
    return _cell(text)


def section(name: str, parser: argparse.ArgumentParser, purpose: str) -> str:
    """The heading, the purpose and the options of a command."""
    lines = [f"## fastconv {name}", "", f"{_cell(parser.description or purpose)}", ""]
    rows = [a for a in parser._actions if not isinstance(a, argparse._HelpAction)]
    if rows:
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [f"| {_name(action)} | {_meaning(action)} |" for action in rows]
        lines.append("")
    return "\n".join(lines)


def tables() -> str:
    (commands,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    purposes = {a.dest: a.help or "" for a in commands._choices_actions}
    return "\n".join(section(n, p, purposes[n]) for n, p in commands.choices.items())


def on_page() -> str:
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables()}\n{END}{rest.partition(END)[2]}")
