"""Links between the Markdown files of the repository, as the site has them.

The pages are written so that their links work in the repository. In the site a page of docs/ is a
page, README.md is the start page, and any other file that a page links to becomes a page or a file
under source/. A link to a folder leads to its README.md, or to a list of its files.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

HOME = "README.md"
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.M | re.S)
LINK = re.compile(r"(?<=\]\()(?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=\))")
LANGUAGES = dict.fromkeys((".h", ".cpp", ".inl", ".cu", ".cuh"), "cpp") | {".py": "python"}
COPIED = {".png", ".svg", ".json", ".ipynb", ".pt"}


@dataclass(frozen=True)
class Place:
    """A file or folder of the repository, and what the site makes of it.

    Attributes:
        path: in the repository, "docs/kernels/direct.md".
        in_site: in the folder that the site is built from, "kernels/direct.md".
    """

    path: str
    in_site: str


def place_of(root: Path, path: str) -> Place:
    """What becomes of `path`, a file or folder below `root`."""
    path = PurePosixPath(os.path.normpath(path)).as_posix()
    if (root / path).is_dir():
        if (root / path / "README.md").exists():
            return place_of(root, f"{path}/README.md")
        if path.startswith("docs/"):
            return Place(path, f"{path.removeprefix('docs/')}/index.md")
        return Place(path, f"source/{path}/index.md")
    if path == HOME:
        return Place(path, "index.md")
    if path.startswith("docs/") and not path.endswith(".py"):
        return Place(path, path.removeprefix("docs/"))
    is_page = PurePosixPath(path).suffix not in COPIED
    suffix = ".md" if is_page and not path.endswith(".md") else ""
    return Place(path, f"source/{path}{suffix}")


def targets(text: str, page: str) -> list[str]:
    """Paths in the repository that the Markdown `text` of the file `page` links to."""
    folder = PurePosixPath(page).parent
    prose = FENCE.sub("", text)
    return [os.path.normpath(folder / link["path"]) for link in LINK.finditer(prose)]


def rewritten(root: Path, text: str, page: Place) -> str:
    """`text`, Markdown of `page`, with links as the site needs them. Code stays as it is."""
    folder = PurePosixPath(page.path).parent if not (root / page.path).is_dir() else page.path
    start = PurePosixPath(page.in_site).parent.as_posix()

    def link(found: re.Match) -> str:
        target = os.path.normpath(PurePosixPath(folder) / found["path"])
        if not (root / target).exists():
            return found[0]
        there = place_of(root, target).in_site
        return os.path.relpath(there, start) + (found["anchor"] or "")

    parts, end = [], 0
    for fence in FENCE.finditer(text):
        parts += [LINK.sub(link, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(link, text[end:])])


def title_of(text: str) -> str | None:
    """The first heading of Markdown."""
    found = re.search(r"^# (.+)$", FENCE.sub("", text), re.M)
    return found and found[1].strip()


def page_of(root: Path, path: str) -> str:
    """Markdown of a page that the repository has in another form: a folder, or a source file."""
    file = root / path
    hidden = "---\nsearch:\n  exclude: true\n---\n"
    if file.is_dir():
        return hidden + _listing(root, path)
    if path.endswith(".md"):
        text = file.read_text()
        return text if path in (HOME, "CONTRIBUTING.md", "CHANGELOG.md") else hidden + text
    language = LANGUAGES.get(file.suffix, "text")
    return f"{hidden}# {path}\n\n``````{language}\n{file.read_text().rstrip()}\n``````\n"


def _listing(root: Path, path: str) -> str:
    """A page that names the files of a folder. Pages of docs/ go by their titles."""
    lines = []
    for file in sorted((root / path).iterdir()):
        if file.is_dir() or file.suffix == ".so" or file.name.startswith("."):
            continue
        name = (file.suffix == ".md" and title_of(file.read_text())) or f"`{file.name}`"
        lines.append(f"- [{name}]({file.name})")
    heading = {"docs/howto": "How-to pages", "docs/decisions": "Decisions"}.get(path, path)
    return f"# {heading}\n\n" + "\n".join(lines) + "\n"
