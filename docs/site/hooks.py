"""What MkDocs calls while it builds the site: pages and files that docs/ does not hold.

The start page is README.md. Files that pages link to come under source/. The notebooks are written
from the pages that have them.
"""

import re
import sys
from pathlib import Path

from mkdocs.structure.files import File, Files, InclusionLevel

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

LISTED = ("docs/howto", "docs/decisions")  # folders whose list of pages is in the navigation

import links  # noqa: E402
import notebooks  # noqa: E402

_places: dict[str, links.Place] = {}  # page of the site -> what it is made of


def on_files(files: Files, config) -> Files:
    """Adds the start page, what is reached from the pages, and the notebooks."""
    _places.clear()
    open_pages = [links.place_of(ROOT, links.HOME)]
    _add(files, config, open_pages[0])
    for folder in LISTED:
        open_pages.append(links.place_of(ROOT, folder))
        _add(files, config, open_pages[-1])
    for file in files.documentation_pages():
        if file.src_uri not in {page.in_site for page in open_pages}:
            open_pages.append(links.Place(f"docs/{file.src_uri}", file.src_uri))
    seen = {page.in_site for page in open_pages}
    while open_pages:
        page = open_pages.pop()
        _places[page.in_site] = page
        for target in links.targets(_markdown(page), _base(page)):
            place = links.place_of(ROOT, target)
            if place.in_site in seen or not (ROOT / place.path).exists():
                continue
            seen.add(place.in_site)
            if files.get_file_from_path(place.in_site) is None:
                _add(files, config, place)
            if place.in_site.endswith(".md"):
                open_pages.append(place)
    for name in notebooks.PAGES:
        content = notebooks.text_of(ROOT / "docs" / f"{name}.md")
        files.append(File.generated(config, f"notebooks/{name}.ipynb", content=content))
    return files


def on_page_markdown(markdown: str, page, config, files: Files) -> str:
    text = links.rewritten(ROOT, markdown, _places[page.file.src_uri])
    name = page.file.src_uri.removesuffix(".md")
    if name in notebooks.PAGES:
        heading, _, rest = text.partition("\n")
        text = f"{heading}\n\n[This page as a notebook](notebooks/{name}.ipynb)\n{rest}"
    return text


def on_page_content(html: str, page, config, files: Files) -> str:
    """A picture leads to its file, so that a phone can show it larger."""
    return re.sub(
        r'(?<!<a href=")<img\b[^>]*\bsrc="([^"]+)"[^>]*>', r'<a href="\1">\g<0></a>', html
    )


def _base(page: links.Place) -> str:
    """The path that links of the page are relative to."""
    return f"{page.path}/README.md" if (ROOT / page.path).is_dir() else page.path


def _markdown(page: links.Place) -> str:
    return links.page_of(ROOT, page.path)


def _add(files: Files, config, place: links.Place) -> None:
    level = InclusionLevel.INCLUDED if place.path == links.HOME else InclusionLevel.NOT_IN_NAV
    if place.path.startswith("docs/") and (ROOT / place.path).is_dir():
        level = InclusionLevel.INCLUDED
    if place.in_site.endswith(".md"):
        file = File.generated(config, place.in_site, content=_markdown(place), inclusion=level)
    else:
        source = str(ROOT / place.path)
        file = File.generated(config, place.in_site, abs_src_path=source, inclusion=level)
    files.append(file)
