"""``fastconv explain MODEL``: which kernel runs each layer, why, and with --measure how fast.

Layer: a command; what needs an optional package is imported only when it runs.
"""

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from fastconv.cli.streams import fail
from fastconv.cli.users import OwnModel, check_input, net_or_own_model, positive, size
from fastconv.conversion import convert, report
from fastconv.explain import explain
from fastconv.models import LAYER_SETS, MODELS, build


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "explain",
        help="tell which kernel runs each layer of a net, and why",
        description="Run a net, or a model of your own, once. Print a row for each direction of "
        "each layer: which kernel runs it, why the others do not, workspace and multiply-adds. "
        "--measure adds the time beside torch's, and the share of the roofline.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "model", metavar="MODEL", type=net_or_own_model,
        help="net; 'fastconv models' lists them; or MODULE:FACTORY, which makes your own",
    )  # fmt: skip
    parser.add_argument("--input", type=size, metavar="SIZE", help="of your own: 8x3x224x224")
    parser.add_argument("--layers", choices=LAYER_SETS, default="fastconv", help="whose layers")
    parser.add_argument("--batch", type=positive, metavar="INT", help="images (default: 1)")
    parser.add_argument(
        "--size", type=positive, metavar="INT", help="height and width (default: the net's own)"
    )
    parser.add_argument("--channels-last", action="store_true", help="images in channels_last")
    parser.add_argument("--measure", action="store_true", help="time each row beside torch's")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="bars by layer, PNG or SVG")


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Print the table; draw the picture."""
    wrong = check_input(options, {"batch": None, "size": None})
    if wrong:
        return fail(wrong, 2)
    model, images = _model_and_images(options)
    if options.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    progress = None
    if options.measure:
        from tqdm import tqdm

        progress = tqdm
    explanation = explain(model, images, measure=options.measure, progress=progress)
    print(f"{explanation}\n\n{report(model).summary()}")
    if options.picture:
        from fastconv.plots.explanation import draw

        name = options.model if isinstance(options.model, str) else options.model.text
        draw(explanation, options.picture, f"{name}, {len(images)} images")
        print(f"wrote {options.picture}")
    return 0


def _model_and_images(options: argparse.Namespace) -> tuple[nn.Module, Tensor]:
    if isinstance(options.model, OwnModel):
        model = options.model.build().eval()
        if options.layers == "fastconv":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of layers that stay: the summary says it
                convert(model)
        return model, torch.randn(options.input)
    channels, *extents = MODELS[options.model].input_shape
    extents = [options.size, options.size] if options.size else extents
    images = torch.randn(options.batch or 1, channels, *extents)
    return build(options.model, layers=options.layers), images
