"""The documentation site, without its generator: the navigation, the links that it rewrites, the
notebooks, and the tables of the commands. `make docs` builds it, and fails on a warning."""

import doctest
import importlib.util
import json
import re
import subprocess
from pathlib import Path

import command_table
import links
import notebooks
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
CONFIG = (ROOT / "mkdocs.yml").read_text()
NAVIGATION = re.findall(r"^ +- (?:[^:\n]+: )?([\w./-]+\.md)$", CONFIG.partition("\nnav:")[2], re.M)
MKDOCS = ROOT / "build" / "docs-venv" / "bin" / "mkdocs"
GENERATED = {"index.md", "howto/index.md", "decisions/index.md"}


def test_navigation_lists_every_page_once():
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert len(set(NAVIGATION)) == len(NAVIGATION)
    assert set(NAVIGATION) == pages | GENERATED


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("README.md", "docs/kernels/", "kernels/README.md"),
        ("README.md", "docs/howto/", "howto/index.md"),
        ("README.md", "csrc/core/shape.h", "source/csrc/core/shape.h.md"),
        ("README.md", "benchmarks/pictures/kinds.png", "source/benchmarks/pictures/kinds.png"),
        ("README.md", "#speed", "#speed"),
        ("README.md", "https://pytorch.org/", "https://pytorch.org/"),
        ("docs/howto/why-is-my-layer-slow.md", "../../README.md#speed", "../index.md#speed"),
        ("docs/kernels/gemm.md", "../../csrc/cpu/simd/vec.inl",
         "../source/csrc/cpu/simd/vec.inl.md"),
        ("CONTRIBUTING.md", "docs/howto/add-a-path.md", "../howto/add-a-path.md"),
    ],
)  # fmt: skip
def test_links_of_the_repository_become_links_of_the_site(page, link, expected):
    text = f"[words]({link})\n\n```md\n[words]({link})\n```\n"
    place = links.place_of(ROOT, page)
    assert links.rewritten(ROOT, text, place) == text.replace(link, expected, 1)


def test_a_folder_becomes_a_list_of_its_pages():
    text = links.page_of(ROOT, "docs/howto")
    assert "[Find out why a layer is slow](why-is-my-layer-slow.md)" in text
    assert "`lenet.py`" in links.page_of(ROOT, "fastconv/models")


def test_nothing_of_the_site_is_fetched():
    """Scripts, styles and the configuration name no address; fonts are the system's."""
    files = [*(DOCS / "assets").iterdir(), ROOT / "mkdocs.yml"]
    addresses = [found for file in files
                 for found in re.findall(r"https?://[^\s\"'<>]+", file.read_text())]  # fmt: skip
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}  # a name, which nobody fetches
    assert "font: false" in CONFIG


def test_page_of_the_commands_is_that_of_the_parser():
    assert command_table.on_page() == command_table.tables().strip()


@pytest.mark.parametrize("name", notebooks.PAGES)
def test_notebooks_run(name):
    """Their cells run in order, with what is shown on the page compared elsewhere."""
    text = notebooks.text_of(DOCS / f"{name}.md")
    cells = json.loads(text)["cells"]
    typed = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(typed) >= 6 and not any(">>>" in code for code in typed)
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert all(path.startswith("attachment:") for path in pictures)
    if importlib.util.find_spec("nbclient"):
        import nbclient
        import nbformat

        nbclient.NotebookClient(nbformat.reads(text, as_version=4), timeout=120).execute()
        return
    namespace: dict = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # waking a second one costs more than these layers
    try:
        for number, code in enumerate(typed):
            code = code.replace("for epoch in range(5):", "for epoch in range(1):")
            exec(compile(code, f"{name} {number}", "exec"), namespace)
    finally:
        torch.set_num_threads(threads)


def test_coming_from_torch_runs_as_shown():
    text = (DOCS / "coming-from-nn-conv2d.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "coming", None, 0)
    report: list[str] = []
    assert doctest.DocTestRunner(verbose=False).run(test, out=report.append).failed == 0, report
    assert len(test.examples) > 20


@pytest.mark.skipif(not MKDOCS.exists(), reason="`make docs` has not been run")
def test_the_site_builds_without_a_warning(tmp_path):
    """Every page of the navigation, and every file that a page links to."""
    site = tmp_path / "site"
    done = subprocess.run(
        [MKDOCS, "build", "--strict", "--site-dir", site], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    start = (site / "index.html").read_text()
    assert "source/csrc/core/shape.h" in start and "Coming from nn.Conv2d" in start
    layers = (site / "api" / "layers" / "index.html").read_text()
    assert "layer = fastconv.Conv2d" in re.sub("<[^>]+>", "", layers)
    json.loads((site / "notebooks" / "walkthrough.ipynb").read_text())
