"""Where Winograd's time goes: the share of each stage, and the product's part of the FMA peak.

python -m benchmarks.studies.winograd_stages    half a minute; writes
    benchmarks/results/winograd_stages-<date>-<isa>.md
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tqdm import tqdm

from benchmarks.harness import cases, problems, roofline
from benchmarks.harness.machine import pin
from benchmarks.report import page, tables
from fastconv import _debug
from fastconv.core import ops
from fastconv.core.extension import _C

LAYERS = (
    "vgg16.conv2",
    "vgg16.conv4",
    "vgg16.conv6",
    "vgg16.conv9",
    "vgg16.conv11",
    "resnet18.layer[1-4].0.conv[12]",
)
STAGES = ("input transform", "filter transform", "product", "output transform")
SECONDS = 0.5  # for a layer and direction
METHOD = """\
Float32. Times are those of the fastest run: of all threads together, over their number; waiting for
each other is not in them. Transforms include gathering and scattering pixels. backward_weight:
filter transform is points to taps, output transform is grad_y to points. GFLOP/s are per thread, of
the 36 matrix products alone; the FMA peak is the higher of those measured right before and right
after a row, by as many threads."""


class Row(NamedTuple):
    """`shares`: of the stages' time, by stage; `rate`: operations per second and thread in the
    product, of the channels that exist; `peak`: of multiply-adds, around that time.
    """

    case: cases.ConvCase
    direction: str
    milliseconds: float
    shares: dict[str, float]
    rate: float
    peak: float | None


def layers() -> list[cases.ConvCase]:
    """Those of LAYERS that Winograd takes."""
    return [c for c in cases.select(LAYERS) if (c.KH, c.KW, *c.stride) == (3, 3, 1, 1)]


def measure(
    case: cases.ConvCase,
    direction: str,
    threads: int,
    seconds: float,
    fma_peak: Callable[[], float] | None,
) -> Row:
    args = (case.stride, case.padding, case.dilation, case.groups)
    shape = ops.conv2d_shape(case.input_size, case.weight_size, args, False, False, False)

    def stages(rounds: int) -> dict[str, float]:
        return _debug.winograd_stages(direction, _C.DTYPES["float32"], shape, threads, rounds)

    once = sum(stages(1).values()) / threads
    before = fma_peak and fma_peak()
    spent = stages(max(1, round(seconds / once)))
    peak = before and max(before, fma_peak())
    whole = sum(spent.values())
    shares = {stage: spent[stage] / whole for stage in STAGES}
    rate = problems.product_flop(case, direction) / spent["product"]
    return Row(case, direction, whole / threads * 1e3, shares, rate, peak)


def table(rows: Iterable[Row]) -> str:
    lines = []
    for row in rows:
        shares = [f"{row.shares[stage]:.0%}" for stage in STAGES]
        part = f"{row.rate / row.peak:.0%}" if row.peak else "not measured"
        name = (row.case.name, cases.shape_text(row.case), row.direction)
        lines.append([*name, f"{row.milliseconds:.1f}", *shares, f"{row.rate / 1e9:.0f}", part])
    headers = ["layer", "shape", "direction", "ms", *STAGES, "product GFLOP/s", "of FMA peak"]
    return tables.table(lines, headers)


def main(arguments: list[str] | None = None) -> None:
    options = page.parser("winograd_stages", __doc__).parse_args(arguments)
    threads = options.threads
    pin(threads)
    fma_peak = roofline.fma_meter(threads)
    jobs = [(case, direction) for case in layers() for direction in tables.DIRECTIONS]
    bar = tqdm(jobs, unit="row", disable=None)
    text = table(measure(case, direction, threads, SECONDS, fma_peak) for case, direction in bar)
    print(text)
    parts = [METHOD, text]
    print(
        page.write(
            "winograd_stages", page.result([], threads), "Winograd by stage", parts, options.out
        )
    )


if __name__ == "__main__":
    main()
