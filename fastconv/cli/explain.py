"""``fastconv explain MODEL``: which kernel runs each layer, why, and with --measure how fast.

Layer: a command; what needs an optional package is imported only when it runs.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from fastconv.cli.summary import _positive
from fastconv.conversion import report
from fastconv.explain import explain
from fastconv.models import LAYER_SETS, MODELS, build


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "explain",
        help="tell which kernel runs each layer of a net, and why",
        description="Run a net once and tell, layer by layer and direction by direction, which "
        "kernel runs it, why the kernels before it do not, workspace and multiply-adds; with "
        "--measure the time beside torch's, and the share of the roofline.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "model", metavar="MODEL", choices=MODELS, help="net; 'fastconv models' lists them"
    )
    parser.add_argument("--layers", choices=LAYER_SETS, default="fastconv", help="whose layers")
    parser.add_argument("--batch", type=_positive, default=1, metavar="INT", help="images")
    parser.add_argument(
        "--size", type=_positive, metavar="INT", help="height and width (default: the net's own)"
    )
    parser.add_argument("--channels-last", action="store_true", help="images in channels_last")
    parser.add_argument("--measure", action="store_true", help="time each row beside torch's")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="bars by layer, PNG or SVG")


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Print the table; draw the picture."""
    channels, *extents = MODELS[options.model].input_shape
    extents = [options.size, options.size] if options.size else extents
    images = torch.randn(options.batch, channels, *extents)
    if options.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    progress = None
    if options.measure:
        from tqdm import tqdm

        progress = tqdm
    model = build(options.model, layers=options.layers)
    explanation = explain(model, images, measure=options.measure, progress=progress)
    print(f"{explanation}\n\n{report(model).summary()}")
    if options.picture:
        from fastconv.plots.explanation import draw

        draw(explanation, options.picture, f"{options.model}, {options.batch} images")
        print(f"wrote {options.picture}")
    return 0
