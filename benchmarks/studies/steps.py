"""A training step with Winograd, without it, and with torch: forward, backward, SGD.

python -m benchmarks.studies.steps    six minutes; writes benchmarks/results/steps-<date>-<isa>.md

Nets are named NET@EXTENT:BATCH, as in --nets resnet18@224:8.
"""

import argparse
from collections.abc import Callable, Sequence

from tqdm import tqdm

import fastconv
from benchmarks.harness import nets
from benchmarks.harness.machine import pin
from benchmarks.harness.timing import Call, Measurement, measure
from benchmarks.peers import LABELS, OURS
from benchmarks.report import page, tables
from fastconv.models import MODELS

NETS = ("vgg11@224:4", "resnet18@224:8", "vgg11@32:32", "resnet18_cifar@32:32")
MINUTES = 6.0
WINOGRAD, DIRECT = "fastconv", "fastconv, winograd=False"
TORCH = tables.TORCH
METHOD = """\
Medians of rounds in which all took turns in one process, with quartiles; a ratio is the median of
the ratios of the rounds. Above 1 Winograd is faster."""


def job_of(text: str) -> dict:
    """What NET@EXTENT:BATCH says.

    Raises:
        argparse.ArgumentTypeError: no such net, or another form.
    """
    net, _, rest = text.partition("@")
    extent, _, batch = rest.partition(":")
    if net not in MODELS or not extent.isdecimal() or not batch.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no NET@EXTENT:BATCH of a known net")
    return {"net": net, "extent": int(extent), "batch": int(batch), "mode": "training"}


def _directly(step: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        with fastconv.flags(winograd=False):
            step()

    return run


def measure_step(job: dict, seconds: float) -> Measurement:
    """Winograd and the direct kernels train the same weights in turn; torch has its own."""
    step = nets.make_step(job, OURS)
    calls = {WINOGRAD: Call(step), DIRECT: Call(_directly(step))}
    calls |= {name: Call(nets.make_step(job, name)) for name in TORCH}
    return measure(calls, seconds)


def table(measured: Sequence[tuple[dict, Measurement]]) -> str:
    lines = []
    for job, m in measured:
        times = (m.seconds(name) for name in m.times)
        lines.append([
            tables.net_name(job), str(job["batch"]),
            *(tables.with_quartiles(*(1e3 * t for t in spread), digits=0) for spread in times),
            *(tables.with_quartiles(*m.ratio(name, WINOGRAD)) for name in (DIRECT, *TORCH)),
            "noisy" if m.noisy else "",
        ])  # fmt: skip
    names = [WINOGRAD, DIRECT, *(LABELS[name] for name in TORCH)]
    ratios = [f"{name} / fastconv" for name in ("direct", *names[2:])]
    return tables.table(lines, ["net", "batch", *(f"{n}, ms" for n in names), *ratios, ""])


def main(arguments: list[str] | None = None) -> None:
    made = page.parser("steps", __doc__)
    made.add_argument("--nets", nargs="+", type=job_of, default=[job_of(text) for text in NETS])
    made.add_argument("--minutes", type=float, default=MINUTES, help="(default %(default)s)")
    options = made.parse_args(arguments)
    pin(options.threads)
    seconds = 60 * options.minutes / len(options.nets) * nets.MEASURED_SHARE
    bar = tqdm(options.nets, unit="net", disable=None)
    measured = [(job, measure_step(job, seconds)) for job in bar]
    result = page.result([], options.threads)
    text = table(measured)
    print(text)
    print(page.write("steps", result, "Training steps", [METHOD, text], options.out))


if __name__ == "__main__":
    main()
