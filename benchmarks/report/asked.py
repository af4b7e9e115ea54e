"""What is asked of every kind of layer, and what a result has of it: best against best, the faster
of fastconv's two layouts against the faster of torch's.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from benchmarks.harness import cases
from benchmarks.harness.spec import SpecError, parse
from benchmarks.report import tables
from benchmarks.report.tables import DIRECTIONS

MODES = ("training", "inference")


class Kind(NamedTuple):
    """`floor`: of every row; `means`: geometric, by direction (or mode) in order; the last one
    holds for the rest. None where nothing is asked.
    """

    name: str
    takes: Callable[[dict], bool]
    floor: float | None
    means: tuple[float, ...] = ()
    of: tuple[str, ...] = DIRECTIONS

    def mean(self, direction: str) -> float | None:
        return (
            self.means[min(self.of.index(direction), len(self.means) - 1)] if self.means else None
        )


@lru_cache(maxsize=4096)
def group_of(shape: str) -> str | None:
    """The group of a layer as shape_text writes it, whatever a result called it."""
    try:
        return cases.group(parse(shape))
    except SpecError:
        return None


def _layers(*groups: str) -> Callable[[dict], bool]:
    return lambda row: row["stage"] == "layers" and group_of(row["shape"]) in groups


def _stage(stage: str, dtype: str) -> Callable[[dict], bool]:
    return lambda row: (row["stage"], row.get("dtype")) == (stage, dtype)


KINDS = (
    Kind("1x1, stride 1 and 2", _layers("1x1"), 0.95, (1.15, 1.2, 1.2)),
    Kind("3x3 stride 2, 5x5, 1x7, first layers",
         _layers("3x3 stride 2", "5x5, 1x7", "first layers"), 0.95, (1.2, 1.3, 1.3)),
    Kind("maps of 4x4, 2x2, 1x1", _layers("maps of 4x4, 2x2, 1x1"), 1.0, (1.5, 1.5, 2.0)),
    Kind("depthwise", _layers("depthwise"), 1.0, (1.5,)),
    Kind("grouped", _layers("grouped"), 1.0, (1.3,)),
    Kind("dilated", _layers("dilated"), 1.0, (1.3,)),
    Kind("max pooling", _layers("max pooling"), 1.0, (2.0, 1.3)),
    Kind("average pooling", _layers("average pooling"), 1.0, (1.5,)),
    Kind("3x3, 64 channels or more", _layers("3x3, 64 channels or more"), 1.5, (2.5, 2.4, 2.6)),
    Kind("3x3, fewer channels", _layers("3x3, fewer channels"), None),
    Kind("large filters", _layers("large filters"), None),
    Kind("float64", _stage("types", "float64"), 1.0, (2.0,)),
    Kind("bfloat16", _stage("half types", "bfloat16"), 0.95, (1.2,)),
    Kind("float16", _stage("half types", "float16"), None),
    Kind("one image, every kind", _stage("batch 1", "float32"), 1.0, (1.3,)),
    Kind("nets", lambda row: row["stage"] == "nets", 1.0, (1.5,), MODES),
)  # fmt: skip
PLAIN_BFLOAT16 = (2.0, (10.0,))  # floor and means where the CPU has no AVX512_BF16


def kinds(result: dict) -> tuple[Kind, ...]:
    """What is asked on the machine of the result."""
    if result["machine"].get("avx512_bf16"):
        return KINDS
    floor, means = PLAIN_BFLOAT16
    return tuple(k._replace(floor=floor, means=means) if k.name == "bfloat16" else k for k in KINDS)


def best(row: dict) -> float | None:
    """The fastest of torch over the fastest of fastconv, in time."""
    ratios = tables.ratios(row)
    fastest = tables.fastest(row)
    return fastest and fastest / min(1.0, ratios.get(tables.OURS_LAST, 1.0))


def in_layout(row: dict, layout: str) -> float | None:
    """torch over fastconv, both in "eager" (NCHW) or both in "channels_last"."""
    ratios = tables.ratios(row)
    own = 1.0 if layout == "eager" else ratios.get(tables.OURS_LAST)
    return ratios[layout] / own if own and layout in ratios else None


def _direction(row: dict) -> str:
    return row["mode"] if "net" in row else row["direction"]


def _name(row: dict) -> str:
    name = f"{tables.net_name(row)}, batch {row['batch']}" if "net" in row else row["case"]
    return f"{name} {_direction(row)}"


def rows_of(result: dict, kind: Kind) -> list[dict]:
    rows = [row for row in tables.timed(result["rows"]) if "calls" not in row]
    return [row for row in rows if kind.takes(row) and best(row)]


def below(result: dict) -> dict[str, list[dict]]:
    """The rows under the floor of their kind, the lowest first."""
    found = {}
    for kind in kinds(result):
        low = [row for row in rows_of(result, kind) if kind.floor and best(row) < kind.floor]
        if low:
            found[kind.name] = sorted(low, key=best)
    return found


def table(result: dict) -> str:
    """For each kind: the worst row and the geometric mean in each direction, beside what is asked
    for."""
    lines, low = [], below(result)
    for kind in kinds(result):
        rows = rows_of(result, kind)
        if not rows:
            continue
        worst, means = [], []
        for direction in kind.of:
            here = [best(row) for row in rows if _direction(row) == direction]
            if here:
                asked = kind.mean(direction)
                worst.append(tables.number(min(here)))
                means.append(tables.number(tables.geometric_mean(here))
                             + (f" ({asked:g})" if asked else ""))  # fmt: skip
        floor = f"{kind.floor:g}" if kind.floor else ""
        lines.append([kind.name, str(len(rows)), floor, " / ".join(worst), " / ".join(means),
                      str(len(low.get(kind.name, ()))) if floor else ""])  # fmt: skip
    headers = ["kind", "rows", "floor asked", "worst row", "geometric mean (asked)", "below floor"]
    return tables.table(lines, headers)


def listed(result: dict) -> str:
    """The rows under their floors, a line for each kind."""
    lines = []
    for name, rows in below(result).items():
        noisy = {True: " noisy", False: ""}
        said = (f"{_name(row)} {best(row):.2f}{noisy[bool(row['noisy'])]}" for row in rows)
        lines.append(f"* {name}: {'; '.join(said)}.")
    return "\n".join(lines) or "None."


def by_layout(result: dict) -> str:
    """Geometric means of each kind where both sides get NCHW, and where both get channels_last."""
    lines = []
    for kind in kinds(result):
        rows = rows_of(result, kind)
        line = [kind.name]
        for layout in tables.TORCH:
            means = []
            for direction in kind.of:
                here = [in_layout(row, layout) for row in rows if _direction(row) == direction]
                if any(here):
                    means.append(tables.number(tables.geometric_mean(here)))
            line.append(" / ".join(means))
        if rows:
            lines.append(line)
    return tables.table(lines, ["kind", "NCHW", "channels_last"])


def markdown(result: dict) -> str:
    """Everything that a result holds, as a page."""
    title = f"# Benchmarks of commit {result['machine']['commit']}"
    parts = [title, tables.about(result), "## What is asked, best against best", table(result)]
    parts += ["Below their floor:", listed(result)]
    parts += ["## By kind and layout: torch / fastconv in the same layout", by_layout(result)]
    return "\n\n".join([*parts, *tables.body(result)]) + "\n"
