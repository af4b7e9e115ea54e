"""What became slower from one result to another.

    python -m benchmarks.compare OLD.json NEW.json [--share 0.1]
    python -m benchmarks.compare OLD_COMMIT NEW_COMMIT    builds both, measures them alternately

Judged by fastconv's time over torch's in the same row, where both took turns, so that a slower
machine does not count; by time alone where a row has no torch. A row is slower if that grew by more
than the share and the quartiles do not overlap. Exits with 1 if any row is, 2 on a wrong call.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from benchmarks.harness import commits
from benchmarks.harness.results import ResultError, key, load, timed
from benchmarks.peers import OURS
from benchmarks.report.tables import geometric_mean

SHARE = 0.1
SAME = ("cpu", "isa", "torch", "cpus")  # what should not differ between results


class Change(NamedTuple):
    """`growth`: of the relative time, 1 being none; `clear`: whether quartiles are apart."""

    key: tuple
    old: dict
    new: dict
    growth: float
    clear: bool


def _relative(row: dict) -> tuple[float, float, float]:
    """Median, low and high of fastconv's time over torch's, or of its seconds."""
    entries = row["contenders"]
    torch = entries.get("eager", {})
    if "ratio" in torch:
        return 1 / torch["ratio"], 1 / torch["ratio_high"], 1 / torch["ratio_low"]
    ours = entries[OURS]
    return ours["median"], ours["low"], ours["high"]


def _same_base(old: dict, new: dict) -> bool:
    return all("ratio" in row["contenders"].get("eager", {}) for row in (old, new)) or not any(
        "ratio" in row["contenders"].get("eager", {}) for row in (old, new)
    )


def changes(old: dict, new: dict) -> list[Change]:
    """Of every row that both results have, in the order of the new one."""
    before = {key(row): row for row in timed(old["rows"])}
    found = []
    for row in timed(new["rows"]):
        earlier = before.get(key(row))
        if earlier is None or not _same_base(earlier, row):
            continue
        was, low_was, high_was = _relative(earlier)
        now, low, high = _relative(row)
        found.append(Change(key(row), earlier, row, now / was, low > high_was or high < low_was))
    return found


def slower(found: list[Change], share: float) -> list[Change]:
    return [c for c in found if c.growth > 1 + share and c.clear]


def faster(found: list[Change], share: float) -> list[Change]:
    return [c for c in found if c.growth < 1 / (1 + share) and c.clear]


def by_direction(found: list[Change]) -> dict[str, list[Change]]:
    """Of layers; other rows have no direction."""
    parts: dict[str, list[Change]] = {}
    for change in found:
        if "direction" in change.new:
            parts.setdefault(change.new["direction"], []).append(change)
    return parts


def gone(old: dict, new: dict) -> list[tuple]:
    """Rows that the new result lacks."""
    there = {key(row) for row in timed(new["rows"])}
    return [key(row) for row in timed(old["rows"]) if key(row) not in there]


def _print(found: list[Change]) -> None:
    rows = []
    for change in sorted(found, key=lambda c: -c.growth):
        times = [row["contenders"][OURS]["median"] * 1e3 for row in (change.old, change.new)]
        rows.append([" ".join(map(str, change.key)), *(f"{t:.3g}" for t in times),
                     f"{change.growth:.2f}"])  # fmt: skip
    print(tabulate(rows, ["row", "old ms", "new ms", "relative"], disable_numparse=True))


def compare(old: dict, new: dict, share: float) -> int:
    """Prints what changed; 1 if anything became slower, or nothing could be compared."""
    differing = [name for name in SAME if old["machine"].get(name) != new["machine"].get(name)]
    if differing:
        print(f"NOTE: the results differ in {', '.join(differing)}")
    found, missing = changes(old, new), gone(old, new)
    for title, part in (("faster", faster(found, share)), ("SLOWER", slower(found, share))):
        if part:
            print(f"\n{title} by more than {share:.0%}:")
            _print(part)
    for direction, part in by_direction(found).items():
        growths = sorted(change.growth for change in part)
        mean = geometric_mean(growths)
        print(
            f"{direction}: {len(part)} rows, geometric mean of the relative time {mean:.3f}, "
            f"each {growths[0]:.2f} to {growths[-1]:.2f}"
        )
    print(f"\n{len(found)} rows compared, {len(slower(found, share))} slower")
    if missing:
        print(f"{len(missing)} rows are in the old result only")
    if not found:
        print("no row is in both: nothing was compared")
    return 1 if slower(found, share) or not found else 0


def main(arguments: list[str] | None = None) -> int:
    shown = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "benchmarks.compare", description=__doc__, formatter_class=shown
    )
    parser.add_argument("old", help="a result file, or a commit")
    parser.add_argument("new", help="a result file, or a commit")
    parser.add_argument("--share", type=float, default=SHARE, help="that counts (default 0.1)")
    parser.add_argument("--cases", nargs="+", help="of commits: globs (default: the core list)")
    parser.add_argument("--runs", type=int, default=3, help="of commits: runs of each, alternately")
    options = parser.parse_args(arguments)
    try:
        if all(Path(given).suffix == ".json" for given in (options.old, options.new)):
            old, new = load(Path(options.old)), load(Path(options.new))
        else:
            pair = (options.old, options.new)
            old, new = commits.measure_commits(pair, options.cases, options.runs)
    except (ResultError, ValueError) as error:
        print(f"benchmarks.compare: {error}", file=sys.stderr)
        return 2
    return compare(old, new, options.share)


if __name__ == "__main__":
    sys.exit(main())
