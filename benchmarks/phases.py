"""Where Winograd's time goes: the share of each phase, and the product's part of the FMA peak.

python -m benchmarks.phases    half a minute; writes benchmarks/results/phases-<date>-<isa>.md
"""

from collections.abc import Iterable
from typing import NamedTuple

from tqdm import tqdm

from benchmarks import cases, page, roofline, tables
from benchmarks.machine import pin
from fastconv import ops
from fastconv.extension import _C

LAYERS = (
    "vgg16.conv2",
    "vgg16.conv4",
    "vgg16.conv6",
    "vgg16.conv9",
    "vgg16.conv11",
    "resnet18.layer[1-4].0.conv[12]",
)
PHASES = ("input transform", "filter transform", "product", "output transform")
POINTS = 6  # along each axis of a tile
SECONDS = 0.5  # for a layer and direction
METHOD = """\
Float32. Times are those of the fastest run: of all threads together, over their number; waiting for
each other is not in them. Transforms include gathering and scattering pixels. backward_weight:
filter transform is points to taps, output transform is grad_y to points. GFLOP/s are per thread, of
the 36 matrix products alone."""


class Row(NamedTuple):
    """`shares`: of the phases' time, by phase; `rate`: operations per second and thread in the
    product, of the channels that exist.
    """

    case: cases.ConvCase
    direction: str
    milliseconds: float
    shares: dict[str, float]
    rate: float


def layers() -> list[cases.ConvCase]:
    """Those of LAYERS that Winograd takes."""
    return [c for c in cases.select(LAYERS) if (c.KH, c.KW, *c.stride) == (3, 3, 1, 1)]


def product_flop(case: cases.ConvCase, direction: str) -> int:
    """Additions and multiplications of the 36 matrix products; those of backward_weight are as many
    as forward's.
    """
    out = POINTS + 1 - case.KH
    height, width = case.input_size[2:] if direction == "backward_input" else case.output_size[2:]
    tiles = case.N * -(-height // out) * -(-width // out)
    return 2 * POINTS**2 * tiles * case.IC * case.OC // case.groups


def measure(case: cases.ConvCase, direction: str, threads: int, seconds: float) -> Row:
    args = (case.stride, case.padding, case.dilation, case.groups)
    shape = ops.conv2d_shape(case.input_size, case.weight_size, args, False, False, False)

    def phases(rounds: int) -> dict[str, float]:
        return _C.winograd_phases(direction, _C.FLOAT32, shape, threads, rounds)

    once = sum(phases(1).values()) / threads
    spent = phases(max(1, round(seconds / once)))
    whole = sum(spent.values())
    shares = {phase: spent[phase] / whole for phase in PHASES}
    rate = product_flop(case, direction) / spent["product"]
    return Row(case, direction, whole / threads * 1e3, shares, rate)


def table(rows: Iterable[Row], peak: float | None) -> str:
    """`peak`: operations per second and thread, None where there is none measured."""
    lines = []
    for row in rows:
        shares = [f"{row.shares[phase]:.0%}" for phase in PHASES]
        part = f"{row.rate / peak:.0%}" if peak else ""
        name = (row.case.name, cases.shape_text(row.case), row.direction)
        lines.append([*name, f"{row.milliseconds:.1f}", *shares, f"{row.rate / 1e9:.0f}", part])
    headers = ["layer", "shape", "direction", "ms", *PHASES, "product GFLOP/s", "of FMA peak"]
    return tables.table(lines, headers)


def peak_text(peak: float | None) -> str:
    told = f"{peak / 1e9:.0f} GFLOP/s per thread" if peak else "not measured"
    return f"FMA peak in the same run: {told}."


def fma_peak(threads: int) -> float | None:
    """Operations per second of one of `threads` threads that all compute."""
    rate = roofline.measure_peaks(threads)["fma"].get("float32")
    return rate and rate / threads


def main(arguments: list[str] | None = None) -> None:
    options = page.parser("phases", __doc__).parse_args(arguments)
    threads = options.threads
    pin(threads)
    before = fma_peak(threads)
    jobs = [(case, direction) for case in layers() for direction in tables.DIRECTIONS]
    bar = tqdm(jobs, unit="row", disable=None)
    rows = [measure(case, direction, threads, SECONDS) for case, direction in bar]
    peak = before and max(before, fma_peak(threads))  # clocks may rise or fall meanwhile
    text = table(rows, peak)
    print(text)
    parts = [METHOD, peak_text(peak), text]
    print(page.write("phases", page.result([], threads), "Winograd by phase", parts, options.out))


if __name__ == "__main__":
    main()
