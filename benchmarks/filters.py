"""What Winograd's kept filters bring in inference: forward passes that keep them (decision 7), that
transform them on every call, and torch's.

python -m benchmarks.filters    four minutes; writes benchmarks/results/filters-<date>-<isa>.md
"""

from collections.abc import Callable, Sequence

import torch
from tqdm import tqdm

import fastconv
from benchmarks import cases, layer_row, page, peers, problems, tables
from benchmarks.machine import pin
from benchmarks.timing import Call, Measurement, measure

CHANNELS = (64, 128, 256, 512)
MAPS = (56, 28, 14, 7)
BATCHES = (1, 8)
MINUTES = 4.0
KEPT, WITHOUT = "fastconv", "fastconv, filter_cache=False"
OTHERS = (WITHOUT, *tables.TORCH)
METHOD = f"""\
Medians of rounds in which all took turns in one process, with quartiles; a ratio is the median of
the ratios of the rounds: time of the other / time with kept filters, above 1 kept filters are
faster. Before every timed sample come a short rest and an untimed call, which makes and keeps the
filters. 3x3, stride 1, as many channels in as out, padding that keeps the extent, float32, no
gradients. Left out: forward passes of more than {cases.MOST_HOME_FLOP / 1e9:.0f} GFLOP."""
Measured = Sequence[tuple[cases.ConvCase, Measurement]]


def grid(
    channels: Sequence[int], maps: Sequence[int], batches: Sequence[int]
) -> list[cases.ConvCase]:
    every = [cases.square(f"{C} channels, {extent}x{extent}", N, C, extent)
             for N in batches for C in channels for extent in maps]  # fmt: skip
    return [case for case in every if cases.forward_flop(case) <= cases.MOST_HOME_FLOP]


def _run(forward: Callable[[], object], keep: bool) -> Callable[[], None]:
    """Within the flag, whose microseconds all sides pay."""

    def run() -> None:
        with fastconv.flags(filter_cache=keep):
            forward()

    return run


def calls_of(case: cases.ConvCase) -> dict[str, Call]:
    """By name. WITHOUT drops what KEPT has kept, so each has a runtime to itself: timing calls once
    untimed where the runtime changes. The first call of all has nobody before it; it is WITHOUT.
    """
    problem = problems.ConvProblem(case, torch.float32)
    calls = {}
    for name in (WITHOUT, KEPT, *tables.TORCH):
        peer = name if name in tables.TORCH else peers.OURS
        forward = peers.contender(peer, problem, "forward").call.run
        calls[name] = Call(_run(forward, name != WITHOUT), runtime=name)
    return calls


def table(measured: Measured) -> str:
    lines = []
    for case, m in measured:
        milliseconds = (1e3 * seconds for seconds in m.seconds(KEPT))
        lines.append([
            case.name, str(case.N), tables.with_quartiles(*milliseconds, digits=3),
            *(tables.with_quartiles(*m.ratio(name, KEPT)) for name in OTHERS),
            "noisy" if m.noisy else "",
        ])  # fmt: skip
    return tables.table(lines, ["layer", "batch", "kept, ms", *_ratio_names(), ""])


def means(measured: Measured) -> str:
    """Geometric means of the ratios by batch."""
    lines = []
    for N in dict.fromkeys(case.N for case, _ in measured):
        same = [m for case, m in measured if case.N == N]
        ratios = ([m.ratio(name, KEPT).median for m in same] for name in OTHERS)
        said = [tables.number(tables.geometric_mean(column)) for column in ratios]
        lines.append([str(N), str(len(same)), *said])
    return tables.table(lines, ["batch", "layers", *_ratio_names()])


def _ratio_names() -> list[str]:
    return [f"{name} / kept" for name in ("without", *(peers.LABELS[n] for n in tables.TORCH))]


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
    print(page.write("filters", result, "Kept filters", [METHOD, *parts], options.out))


if __name__ == "__main__":
    main()
