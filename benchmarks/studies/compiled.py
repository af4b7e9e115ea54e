"""Whole nets eager and under torch.compile: fastconv's layers beside torch's, in both layouts.

python -m benchmarks.studies.compiled    half an hour, most of it compiling; writes
                                         benchmarks/results/compiled-<date>-<isa>.md
python -m benchmarks.studies.compiled --nets resnet18@64:1 --modes frozen --cpu-time

Nets are named NET@EXTENT:BATCH. "frozen" is inference under torch._inductor.config.freezing, and
"training" is a step of SGD. CPU time is less disturbed by other programs, but knows one thread.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from tqdm import tqdm

from benchmarks.harness import net_calls, zoo
from benchmarks.harness.machine import pin
from benchmarks.harness.timing import Call, Measurement, measure
from benchmarks.peers import LABELS, OURS
from benchmarks.report import page, tables
from fastconv.models import MODELS

NETS = ("resnet18@224:1", "resnet18@64:1", "torchvision.mobilenet_v2@224:1",
        "torchvision.convnext_tiny@64:1", "torchvision.densenet121@64:1")  # fmt: skip
MODES = ("inference", "frozen", "training")
SECONDS = 20.0  # of a row
LAYOUTS = {"nchw": ("", "eager"), "channels_last": ("_channels_last", "channels_last")}
METHOD = """\
Medians of rounds in which all took turns in one process, with quartiles; a ratio is the median of
the ratios of the rounds. "eager / compiled" is of fastconv's layers in one layout: above 1
compiling is worth it. "torch / fastconv" compares what torch.compile makes of torch's layers and of
fastconv's, each in the layout that is faster for it: above 1 fastconv is faster."""


class Row(NamedTuple):
    """What NET@EXTENT:BATCH in a mode took; seconds of each contender by (who, layout)."""

    job: dict
    mode: str
    measured: Measurement


def job_of(text: str) -> dict:
    """What NET@EXTENT:BATCH says.

    Raises:
        argparse.ArgumentTypeError: no such net, or another form.
    """
    net, _, rest = text.partition("@")
    extent, _, batch = rest.partition(":")
    known = net in MODELS or net.removeprefix(zoo.PREFIX) in zoo.NAMES
    if not known or not extent.isdecimal() or not batch.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no NET@EXTENT:BATCH of a known net")
    return {"net": net, "extent": int(extent), "batch": int(batch)}


def _step(job: dict, layers: str, compiles: bool) -> Callable[[], object]:
    model, x = net_calls.net(job, layers)
    if layers.endswith("channels_last"):
        model, x = (t.to(memory_format=torch.channels_last) for t in (model, x))
    return net_calls.step_of(job, torch.compile(model) if compiles else model, x)


def measure_row(job: dict, mode: str, seconds: float, clock: Callable[[], float]) -> Row:
    from torch._inductor import config

    torch._dynamo.reset()
    job = job | {"mode": "training" if mode == "training" else "inference"}
    calls = {}
    for layout, (suffix, torchs) in LAYOUTS.items():
        contenders = {
            f"eager {layout}": (OURS + suffix, False),
            f"compiled {layout}": (OURS + suffix, True),
            f"torch compiled {layout}": (torchs, True),
        }
        for name, (layers, compiles) in contenders.items():
            step = _step(job, layers, compiles)
            with config.patch(freezing=mode == "frozen"):
                step()  # compiles
            calls[name] = Call(step)
    return Row(job, mode, measure(calls, seconds, clock))


def fastest(row: Row, who: str) -> str:
    return min((f"{who} {layout}" for layout in LAYOUTS), key=lambda n: row.measured.seconds(n))


def table(rows: Sequence[Row]) -> str:
    lines = []
    for job, mode, m in rows:
        times = ([f"{1e3 * m.seconds(f'{who} {layout}').median:.1f}" for layout in LAYOUTS]
                 for who in ("eager", "compiled", "torch compiled"))  # fmt: skip
        gains = (m.ratio(f"eager {layout}", f"compiled {layout}") for layout in LAYOUTS)
        row = Row(job, mode, m)
        beside = m.ratio(fastest(row, "torch compiled"), fastest(row, "compiled"))
        lines.append([
            tables.net_name(job), str(job["batch"]), mode,
            *(" / ".join(pair) for pair in times),
            *(tables.with_quartiles(*gain) for gain in gains),
            tables.with_quartiles(*beside),
        ])  # fmt: skip
    who = ("eager", "compiled", "torch compiled")
    return tables.table(lines, [
        "net", "batch", "mode", *(f"{w}, ms, nchw / {LABELS['channels_last'][6:]}" for w in who),
        *(f"eager / compiled, {layout}" for layout in LAYOUTS), "torch / fastconv, compiled",
    ])  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    made = page.parser("compiled", __doc__)
    made.add_argument("--nets", nargs="+", type=job_of, default=[job_of(text) for text in NETS])
    made.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    made.add_argument("--seconds", type=float, default=SECONDS, help="of a row")
    made.add_argument("--cpu-time", action="store_true", help="of one thread, not wall time")
    options = made.parse_args(arguments)
    threads = 1 if options.cpu_time else options.threads
    pin(threads)
    clock = time.thread_time if options.cpu_time else time.perf_counter
    rows = []
    for job in tqdm(options.nets, unit="net", disable=None):
        for mode in options.modes:
            rows.append(measure_row(job, mode, options.seconds, clock))
            print(table(rows[-1:]), flush=True)
    text = table(rows)
    timed = "The figures are CPU time." if options.cpu_time else "The figures are wall time."
    made = page.result([], threads)
    print(text)
    title = "Eager and compiled nets"
    print(page.write("compiled", made, title, [f"{METHOD} {timed}", text], options.out))


if __name__ == "__main__":
    main()
