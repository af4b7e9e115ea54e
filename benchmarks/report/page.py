"""What the tools that answer one question share: options, the head of their page, its file."""

import argparse
import os
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.harness import results
from benchmarks.harness.machine import machine
from benchmarks.report import tables


def parser(name: str, doc: str) -> argparse.ArgumentParser:
    """Of `python -m benchmarks.studies.<name>`, with what every tool can be told."""
    shown = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(
        f"benchmarks.studies.{name}", description=doc, formatter_class=shown
    )
    threads = min(2, os.cpu_count() or 1)
    made.add_argument("--threads", type=int, default=threads, help="(default %(default)s)")
    made.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the page")
    return made


def result(rows: list[dict], threads: int) -> dict:
    """Rows with what a reader needs to judge them, as results.save writes it."""
    finished = time.strftime("%Y-%m-%d %H:%M:%S")
    head = {"format": results.FORMAT, "machine": machine(), "finished": finished}
    return head | {"threads": threads, "rows": rows}


def write(name: str, made: dict, title: str, parts: Iterable[str], folder: Path) -> Path:
    """The page <name>-<date>-<isa>.md; its path."""
    path = folder / f"{name}-{made['finished'][:10]}-{made['machine']['isa']}.md"
    threads = f"{made['threads']} thread{'s' * (made['threads'] > 1)}"
    about = f"`python -m benchmarks.studies.{name}`, {threads}, {tables.about(made)}."
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join([f"# {title}", about, *parts]) + "\n")
    return path
