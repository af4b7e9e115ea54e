"""Result files: what a run leaves in benchmarks/results/, and its journal meanwhile."""

import json
from collections.abc import Iterable
from pathlib import Path

from benchmarks.harness.machine import ROOT, git

FOLDER = ROOT / "benchmarks" / "results"
FORMAT = 1


class ResultError(RuntimeError):
    """A result file cannot be used; the message is one sentence that names it."""


def read_journal(path: Path) -> tuple[dict[str, dict], list[dict]]:
    """Rows by the id of their job, and the peaks of the stages; a line cut short does not count."""
    rows, peaks = {}, []
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if "row" in entry:
                rows[entry["id"]] = entry["row"]
            else:
                peaks.append(entry["peaks"])
    return rows, peaks


def load(path: Path) -> dict:
    """
    Raises:
        ResultError: no such file, or none of `make bench`.
    """
    try:
        result = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ResultError(f"cannot read {path} ({error})") from error
    if not isinstance(result, dict) or result.get("format") != FORMAT:
        raise ResultError(f"{path} is no result of benchmarks.bench in its present format")
    return result


def save(result: dict, path: Path) -> None:
    """One line a row, so that differences can be read."""
    head = {name: value for name, value in result.items() if name != "rows"}
    text = json.dumps(head, indent=1)[:-2]
    rows = ",\n  ".join(json.dumps(_rounded(row)) for row in result["rows"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{text},\n "rows": [\n  {rows}\n ]\n}}\n')


def _rounded(value: object) -> object:
    """Numbers to four digits: more would be noise."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: _rounded(v) for name, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list) else value


def newest(folder: Path = FOLDER) -> Path:
    """The newest committed result of `make bench`, by its own date, or the newest of all where git
    knows none.

    Raises:
        ResultError: there is none.
    """
    path = newest_of("bench", folder)
    if path is None:
        raise ResultError(f"no bench-*.json in {folder}: `make bench` makes one")
    return path


def newest_of(kind: str, folder: Path = FOLDER) -> Path | None:
    """The same of the results <kind>-*.json, those of a part of the plan left out; or None."""
    known = {(ROOT / name).resolve() for name in git("ls-files").splitlines()}
    paths = list(folder.glob(f"{kind}-*.json"))
    committed = [path for path in paths if path.resolve() in known]
    results = [(load(path), path) for path in committed or paths]
    dated = [(made["finished"], path) for made, path in results if not made.get("quick")]
    return max(dated)[1] if dated else None


def key(row: dict) -> tuple:
    """What a row measures: the same in every result that has it."""
    if "net" in row:
        names = ("stage", "net", "extent", "batch", "mode", "threads", "malloc")
    else:
        names = ("stage", "case", "shape", "direction", "dtype", "threads", "malloc")
    return tuple(row[name] for name in names)


def timed(rows: Iterable[dict]) -> list[dict]:
    """The rows of layers and nets that have figures of fastconv."""
    return [r for r in rows if "median" in r.get("contenders", {}).get("fastconv", {})]
