"""Winograd in inference of few images: forward passes that keep their filters where threads share
them (decision 7), that transform them on every call, and torch's.

python -m benchmarks.studies.filters    four minutes; writes
    benchmarks/results/filters-<date>-<isa>.md
"""

from collections.abc import Callable, Sequence

import torch
from tqdm import tqdm

import fastconv
from benchmarks import peers
from benchmarks.harness import cases, layer_row, problems
from benchmarks.harness.machine import pin
from benchmarks.harness.timing import Call, Measurement, measure
from benchmarks.report import page, tables

CHANNELS = (64, 128, 256, 512)
MAPS = (56, 28, 14, 7)
BATCHES = (1, 8)
MINUTES = 4.0
OURS, WITHOUT = "fastconv", "fastconv, filter_cache=False"
OTHERS = (WITHOUT, *tables.TORCH)
TITLE = "Inference of few images, and cached filters"
METHOD = f"""\
Medians of rounds in which all took turns in one process, with quartiles; a ratio is the median of
the ratios of the rounds: time of the other / our time, above 1 we are faster. Before every timed
sample come a short rest and an untimed call, which makes the filters that are kept. "without" is
ours with `filter_cache=False`, where filters are kept at all: only those that threads share; others
are made in a thread's cache sooner than they would be read from memory. 3x3, stride 1, as many
channels in as out, padding that keeps the extent, float32, no gradients. Left out: forward passes
of more than {cases.MOST_HOME_FLOP / 1e9:.0f} GFLOP."""
Measured = Sequence[tuple[cases.ConvCase, Measurement]]


def grid(
    channels: Sequence[int], maps: Sequence[int], batches: Sequence[int]
) -> list[cases.ConvCase]:
    every = [cases.square(f"{C} channels, {extent}x{extent}", N, C, extent)
             for N in batches for C in channels for extent in maps]  # fmt: skip
    return [case for case in every if cases.forward_flop(case) <= cases.MOST_HOME_FLOP]


def keeps(case: cases.ConvCase) -> bool:
    """Whether forward keeps filters, with as many threads as torch has now."""
    x, w = torch.empty(case.input_size), torch.empty(case.weight_size)
    return "filters kept" in fastconv.explain(x, w, padding=case.KH // 2)["forward"]


def _run(forward: Callable[[], object], keep: bool) -> Callable[[], None]:
    """Within the flag, whose microseconds all sides pay."""

    def run() -> None:
        with fastconv.flags(filter_cache=keep):
            forward()

    return run


def calls_of(case: cases.ConvCase) -> dict[str, Call]:
    """By name; WITHOUT only where filters are kept. It drops what OURS has kept, so each has a
    runtime to itself: timing calls once untimed where the runtime changes. The first call of all
    has nobody before it; it is WITHOUT.
    """
    problem = problems.ConvProblem(case, torch.float32)
    calls = {}
    names = (WITHOUT, OURS, *tables.TORCH) if keeps(case) else (OURS, *tables.TORCH)
    for name in names:
        peer = name if name in tables.TORCH else peers.OURS
        forward = peers.contender(peer, problem, "forward").call.run
        calls[name] = Call(_run(forward, name != WITHOUT), runtime=name)
    return calls


def table(measured: Measured) -> str:
    lines = []
    for case, m in measured:
        milliseconds = (1e3 * seconds for seconds in m.seconds(OURS))
        ratios = [tables.with_quartiles(*m.ratio(name, OURS)) if name in m.times else "none kept"
                  for name in OTHERS]  # fmt: skip
        lines.append([
            case.name, str(case.N), tables.with_quartiles(*milliseconds, digits=3), *ratios,
            "noisy" if m.noisy else "",
        ])  # fmt: skip
    return tables.table(lines, ["layer", "batch", "ours, ms", *_ratio_names(), ""])


def means(measured: Measured) -> str:
    """Geometric means of the ratios by batch, of the layers that have them."""
    lines = []
    for N in dict.fromkeys(case.N for case, _ in measured):
        same = [m for case, m in measured if case.N == N]
        ratios = [[m.ratio(name, OURS).median for m in same if name in m.times] for name in OTHERS]
        said = [f"{tables.number(tables.geometric_mean(column))} ({len(column)})" if column else ""
                for column in ratios]  # fmt: skip
        lines.append([str(N), *said])
    return tables.table(lines, ["batch", *(f"{name} (layers)" for name in _ratio_names())])


def _ratio_names() -> list[str]:
    return [f"{name} / ours" for name in ("without", *(peers.LABELS[n] for n in tables.TORCH))]


def main(arguments: list[str] | None = None) -> None:
    made = page.parser("filters", __doc__)
    for name, default in (("channels", CHANNELS), ("maps", MAPS), ("batches", BATCHES)):
        made.add_argument(f"--{name}", nargs="+", type=int, default=default)
    made.add_argument("--minutes", type=float, default=MINUTES, help="(default %(default)s)")
    options = made.parse_args(arguments)
    pin(options.threads)
    chosen = grid(options.channels, options.maps, options.batches)
    seconds = 60 * options.minutes / len(chosen) * layer_row.MEASURED_SHARE
    bar = tqdm(chosen, unit="layer", disable=None)
    measured = [(case, measure(calls_of(case), seconds)) for case in bar]
    parts = [table(measured), "## Geometric means", means(measured)]
    print(*parts, sep="\n\n")
    result = page.result([], options.threads)
    print(page.write("filters", result, TITLE, [METHOD, *parts], options.out))


if __name__ == "__main__":
    main()
