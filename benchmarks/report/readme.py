"""Renders a result: its Markdown tables, the pictures, and the speed section of the README.

python -m benchmarks.report [RESULT.json]    default: the newest committed result of `make bench`
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import results
from benchmarks.harness.machine import ROOT
from benchmarks.report import asked, choices, pictures, tables
from benchmarks.report.tables import eager, fastest, geometric_mean, of_stage

README = ROOT / "README.md"
KINDS_TOLD = (
    "By kind, best against best: a row is the faster of torch's layouts, NCHW and channels_last, "
    "over the faster of fastconv's. Cells are forward / backward_input / backward_weight, of pools "
    "forward / backward, and of nets training / inference; what is asked stands in brackets."
)
BEGIN, END = "<!-- speed: begin, written by `make report` -->", "<!-- speed: end -->"


def speed_section(result: dict, path: Path, drawn: list[Path]) -> str:
    """What the README says of speed, numbers from the result alone."""
    parts = [claim(result), KINDS_TOLD, asked.table(result)]
    low = sum(map(len, asked.below(result).values()))
    if low:
        title = f"<details><summary>The {low} rows below their floor</summary>"
        parts += [title, asked.listed(result), "</details>"]
    names = {picture.stem: picture for picture in drawn}
    if "kinds" in names:
        parts.append(
            f"![time of torch over time of fastconv, by layer]({_from_root(names['kinds'])})"
        )
    if tables.nets_of(result):
        parts += ["Whole nets, largest batch measured:", nets_in_short(result)]
    parts.append(_links(path, names))
    return "\n\n".join(parts)


def claim(result: dict) -> str:
    """What was measured, in two sentences, and how often fastconv wins and loses, as a table."""
    rows, about = of_stage(result, "layers"), result["machine"]
    pairs = [row for row in rows if eager(row) and fastest(row)]
    if not pairs:
        return "The newest result has no layers."
    missing = f" ({result['missing']} rows of the plan are missing)" if result["missing"] else ""
    text = (
        f"Measured on {about['cpu']} ({about['cpus']} CPUs, {about['isa']}) with torch "
        f"{about['torch']}, {rows[0]['threads']} threads, commit {about['commit']}: a row is one "
        f"layer of the nets here in one direction{missing}. A ratio is the time of torch over the "
        "time of fastconv, so above 1 fastconv is faster."
    )
    lines = [
        _compared("torch, NCHW", pairs, eager),
        _compared("the better of torch's NCHW and channels_last", pairs, fastest),
        *_large_tensors(result, pairs),
    ]
    headers = ["compared with", "rows", "fastconv faster", "geometric mean", "best", "worst",
               "noisy rows"]  # fmt: skip
    return text + "\n\n" + tables.table(lines, headers)


def _compared(what: str, rows: list[dict], of: Callable[[dict], float]) -> list[str]:
    """A line of the table: how the ratios `of` these rows spread."""
    best, worst = max(rows, key=of), min(rows, key=of)
    named = [f"{of(row):.2f} {row['case']} {row['direction']}" for row in (best, worst)]
    counts = str(len(rows)), str(sum(of(row) > 1 for row in rows))
    mean = tables.number(geometric_mean(map(of, rows)))
    return [what, *counts, mean, *named, str(sum(row["noisy"] for row in rows))]


def _large_tensors(result: dict, default: list[dict]) -> list[list[str]]:
    """How much of the ratios of large tensors is the cost of new pages: with glibc's default
    settings, which take them from the system on every call, and with settings that keep them."""
    rows = [row for row in of_stage(result, "malloc") if eager(row)]
    tuned = {(row["case"], row["direction"]): row for row in rows}
    both = [row for row in default if (row["case"], row["direction"]) in tuned]
    if not both:
        return []
    there = [tuned[row["case"], row["direction"]] for row in both]
    return [
        _compared("torch, NCHW: tensors of 20 MB and more", both, eager),
        _compared("the same, with a malloc that keeps memory", there, eager),
    ]


def nets_in_short(result: dict) -> str:
    """A line per net: training and inference."""
    rows: dict[tuple, dict[str, dict]] = {}
    for row in sorted(tables.nets_of(result), key=lambda row: row["batch"]):
        rows.setdefault((row["net"], row["extent"]), {})[row["mode"]] = row
    lines = []
    for modes in rows.values():
        line = [tables.net_name(next(iter(modes.values())))]
        for mode in ("training", "inference"):
            row = modes.get(mode)
            if row is None:
                line += ["", "", ""]
                continue
            rate = row["contenders"]["fastconv"]["images_per_second"]
            pair = " / ".join(tables.number(of(row)) for of in (eager, fastest))
            line += [
                str(row["batch"]),
                f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}",
                pair + (" noisy" if row["noisy"] else ""),
            ]
        lines.append(line)
    ratio = "torch NCHW / fastest"
    headers = ["net", "batch", "training images/s", ratio, "batch", "inference images/s", ratio]
    return tables.table(lines, headers)


def _from_root(path: Path) -> str:
    return (
        str(path.resolve().relative_to(ROOT)) if path.resolve().is_relative_to(ROOT) else path.name
    )


LINKED = {
    "nets": "whole nets",
    "peers": "other peers",
    "roofline": "roofline",
    "growth": "how cost grows",
    "paths": "the choice between paths",
}


def _links(path: Path, names: dict[str, Path]) -> str:
    shown = [f"[{text}]({_from_root(names[n])})" for n, text in LINKED.items() if n in names]
    full = f"[All rows, quartiles, errors, page faults]({_from_root(path.with_suffix('.md'))})"
    how = "`make bench` measures anew, `make report` writes this section."
    return f"{full}. Pictures: {', '.join(shown)}. {how}"


def into_readme(text: str, section: str) -> str:
    """The README with the section between its two comments.

    Raises:
        ResultError: the comments are not there.
    """
    if BEGIN not in text or END not in text:
        raise results.ResultError(f"the README has no {BEGIN} ... {END}")
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n\n{section}\n\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("benchmarks.report", description=__doc__.splitlines()[0])
    parser.add_argument("result", nargs="?", type=Path)
    parser.add_argument("--readme", type=Path, default=README)
    parser.add_argument("--pictures", type=Path, default=pictures.FOLDER)
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    options = parser.parse_args(arguments)
    try:
        path = options.result or results.newest(options.results)
        result = results.load(path)
        path.with_suffix(".md").write_text(asked.markdown(result))
        drawn = pictures.draw(result, options.pictures)
        grid = results.newest_of("paths", options.results)
        cells = results.load(grid)["rows"] if grid else []
        if any("ratios" in row for row in cells):  # else it is of the study before this one
            drawn.append(options.pictures / "paths.png")
            choices.draw(cells, drawn[-1])
        text = into_readme(options.readme.read_text(), speed_section(result, path, drawn))
    except results.ResultError as error:
        print(f"benchmarks.report: {error}", file=sys.stderr)
        return 1
    options.readme.write_text(text)
    print(f"{path} -> {options.readme}, {len(drawn)} pictures in {options.pictures}")
    return 0
