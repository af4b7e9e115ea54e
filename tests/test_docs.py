"""The pages say what is so: links lead somewhere, files that they name exist, their code runs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import fastconv

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
HOWTO = ROOT / "docs" / "howto"
# The others are a history, in which files have the names of their time.
OF_TODAY = [p for p in PAGES if p.name in ("README.md", "CONTRIBUTING.md", "architecture.md")]
OF_TODAY += sorted(HOWTO.glob("*.md"))
NOT_YET = ("csrc/cuda/", "csrc/toy/", "csrc/runtime/toy.h", "csrc/bindings/toy.cpp",
           "csrc/cpu/pointwise/")  # fmt: skip
FOLDERS = "csrc|fastconv|tests|benchmarks|docs"


def code(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.M | re.S)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose)
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", OF_TODAY, ids=name)
def test_files_that_pages_name_exist(page):
    named = re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", page.read_text())
    assert [f for f in named if not f.startswith(NOT_YET) and not (ROOT / f).exists()] == []


def test_files_that_the_glossary_names_exist():
    page = ROOT / "docs" / "glossary.md"
    named = re.findall(r"`([\w/]+(?:/|\.h|\.cpp|\.inl|\.py))`", page.read_text())
    assert len(set(named)) > 15
    assert [f for f in named if not ((ROOT / "csrc" / f).exists() or (ROOT / f).exists())] == []


def test_each_term_of_the_glossary_is_there_once():
    terms = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs" / "glossary.md").read_text(), re.M)
    assert len(terms) > 40 and len(set(terms)) == len(terms)


def test_code_of_the_readme_runs(capsys):
    fastconv.fallbacks(reset=True)  # of other tests
    (snippet,) = code(ROOT / "README.md", "python")
    assert len([line for line in snippet.splitlines() if line]) <= 10
    exec(compile(snippet, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "winograd" in printed and printed.splitlines()[-1] == "{}"


def test_the_path_of_the_how_to_compiles(tmp_path):
    """Into its place among copies of the headers, with the line that it adds to the list."""
    header, driver = code(HOWTO / "add-a-path.md", "cpp")
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc")
    folder = tmp_path / "csrc" / "cpu" / "pointwise"
    folder.mkdir()
    (folder / "pointwise.h").write_text(header)
    (folder / "pointwise.cpp").write_text(driver)
    paths = tmp_path / "csrc" / "cpu" / "paths" / "conv2d_forward.cpp"
    text, (diff, *_) = paths.read_text(), code(HOWTO / "add-a-path.md", "diff")
    for before, added in re.findall(r"^ (.+)\n\+(.+)$", diff, re.M):
        assert before in text
        text = text.replace(f"{before}\n", f"{before}\n{added}\n")
    paths.write_text(text)
    compiler = [os.environ.get("CXX", "c++"), "-std=c++17", "-Wall", "-Wextra", "-Werror"]
    done = subprocess.run(
        [*compiler, "-Wno-psabi", "-fsyntax-only", folder / "pointwise.cpp", paths],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "pointwise_forward_path<T>()" in text
