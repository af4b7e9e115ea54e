"""``fastconv bench MODULE:FACTORY --input 8x3x224x224``: times a user's own model with fastconv's
layers beside torch's.

Layer: a command; what needs an optional package is imported only when it runs.
"""

import argparse
import copy
import statistics
import time
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fastconv.cli.users import own_model, positive, size
from fastconv.conversion import convert, report
from fastconv.explain import explain
from fastconv.tables import table

SHOWN = 10  # rows of layers


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "bench",
        help="time a model of your own, fastconv beside torch",
        description="Time the forward run of a model in evaluation mode: fastconv and torch, in "
        "both layouts, in turns in one process; then where fastconv's time goes.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "model", type=own_model, metavar="MODULE:FACTORY",
        help="what makes the model: mynet:Net imports mynet and calls Net()",
    )  # fmt: skip
    parser.add_argument("--input", type=size, required=True, metavar="SIZE", help="8x3x224x224")
    parser.add_argument("--compile", action="store_true", help="time torch.compile of both, too")
    parser.add_argument("--rounds", type=positive, default=10, metavar="INT",
                        help="times that each takes its turn (default: %(default)s)")  # fmt: skip


def _runs(model: nn.Module, x: Tensor, compiled: bool) -> dict[str, Callable[[], object]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers that stay: the summary says it
        sides = {"fastconv": convert(copy.deepcopy(model)), "torch": model}
    runs: dict[str, Callable[[], object]] = {}
    for layout, memory_format in (("NCHW", torch.contiguous_format),
                                  ("channels_last", torch.channels_last)):  # fmt: skip
        if layout == "channels_last" and x.dim() != 4:
            continue
        images = x.contiguous(memory_format=memory_format)
        for name, side in sides.items():
            own = copy.deepcopy(side).to(memory_format=memory_format)
            runs[f"{name}, {layout}"] = lambda own=own, images=images: own(images)
            if compiled:
                made = torch.compile(own)
                label = f"{name}, {layout}, compiled"
                runs[label] = lambda made=made, images=images: made(images)
    return runs


def _medians(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(rounds + 1):  # the first is not counted
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if round_:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(measured) for name, measured in times.items()}


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Print the times, the report, and the slowest layers."""
    model = options.model.build().eval()
    x = torch.randn(options.input)
    with torch.no_grad():
        medians = _medians(_runs(model, x, options.compile), options.rounds)
    base = medians["torch, NCHW"]
    lines = [[name, f"{1e3 * t:.3f}", f"{base / t:.2f}"] for name, t in medians.items()]
    print(table([["forward", "ms", "times as fast as torch, NCHW"], *lines]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        convert(model)
    print(f"\n{report(model).summary()}\n")
    rows = [r for r in explain(model, x, measure=True).rows if r.seconds is not None]
    rows = sorted((r for r in rows if r.direction == "forward"), key=lambda r: -r.seconds)
    lines = [[r.layer, r.operator, r.shape, r.path, f"{1e3 * r.seconds:.3f}", f"{r.ratio:.2f}"]
             for r in rows[:SHOWN]]  # fmt: skip
    print(table([["slowest layers", "operator", "shape", "path", "ms", "torch / ours"], *lines]))
    return 0
