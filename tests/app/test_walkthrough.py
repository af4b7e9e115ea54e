"""docs/walkthrough.md: its snippets, its commands and its pictures are what they claim to be."""

import doctest
import re
import shlex
import struct
from pathlib import Path

import pytest

import fastconv
from fastconv.cli import main

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "walkthrough.md").read_text()
PICTURES = sorted((DOCS / "pictures").rglob("*.png"))
BLOCKS = re.findall(r"^```console\n\$ (fastconv .*)\n((?:.*\n)*?)```$", TEXT, re.M)
COMMANDS = {command: printed for command, printed in BLOCKS}
FILTERS = [command for command in COMMANDS if command.startswith("fastconv filters")]


def test_snippets():
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S)
    assert len(blocks) > 20 and all(">>> " in block for block in blocks)
    fastconv.handovers(reset=True)
    test = doctest.DocTestParser().get_doctest(
        "\n".join(blocks), {}, "walkthrough", str(DOCS / "walkthrough.md"), 0
    )
    report: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert result.failed == 0, "".join(report)
    assert result.attempted > 60


def size_of(png: Path) -> tuple[int, int]:
    """Width and height in pixels."""
    return struct.unpack(">II", png.read_bytes()[16:24])


@pytest.mark.parametrize("command", FILTERS)
def test_commands_print_and_draw_what_is_shown(command, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)[1:]
    assert main(words) == 0

    def timeless(text: str) -> str:
        return re.sub(r"in [\d.]+ ms", "in TIME ms", text)

    assert timeless(capsys.readouterr().out) == timeless(COMMANDS[command])
    out = Path(words[words.index("--out") + 1])
    assert size_of(out) == size_of(DOCS.parent / out)


def test_pictures_are_small_shown_and_made_by_a_command():
    shown = {DOCS / name for name in re.findall(r"!\[[^]]+\]\(([^)]+)\)", TEXT)}
    assert shown == set(PICTURES) and len(shown) >= 7
    assert all(picture.stat().st_size < 200_000 for picture in PICTURES)
    assert sum(picture.stat().st_size for picture in PICTURES) < 1_500_000
    for picture in PICTURES:
        makers = [
            command
            for command in COMMANDS
            if re.search(rf"--out docs/{picture.relative_to(DOCS)}$", command)
            or re.search(rf"--out docs/{picture.parent.relative_to(DOCS)}$", command)
        ]
        assert len(makers) == 1, picture


def test_links_lead_somewhere():
    links = re.findall(r"(?<!!)\[[^]]+\]\(([^)]+)\)", TEXT)
    assert len(links) >= 8
    assert [link for link in links if not (DOCS / link).exists()] == []


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in FILTERS])
def test_other_commands_are_understood(command, monkeypatch):
    """They need a data set, so only their options are checked."""
    seen = []
    module = f"fastconv.cli.{shlex.split(command)[1]}.run"
    monkeypatch.setattr(module, lambda options, arguments: seen.append(options) or 0)
    assert main(shlex.split(command)[1:]) == 0
    assert len(seen) == 1
