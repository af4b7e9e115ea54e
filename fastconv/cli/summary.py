"""``fastconv summary MODEL``: its layers with output shapes, parameters, multiply-adds, memory.

Layer: a command; what needs an optional package is imported only when it runs.
"""

import argparse
import re
from collections.abc import Sequence

import torch

from fastconv.models import LAYER_SETS, MODELS, build
from fastconv.models.cost import cost

COLUMNS = ("output_size", "num_params", "mult_adds")


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    summary = commands.add_parser(
        "summary",
        help="print the layers of a net with output shapes, parameters, multiply-adds and memory",
        description="Print the layers of a net with output shapes, parameters, multiply-adds and "
        "memory. Nothing is computed: no arithmetic, no memory for weights or images.",
    )
    summary.set_defaults(run=run)
    default = " (default: %(default)s)"
    summary.add_argument(
        "model", metavar="MODEL", choices=MODELS, help="net; 'fastconv models' lists them"
    )
    summary.add_argument(
        "--layers",
        choices=LAYER_SETS,
        default="fastconv",
        help="whose convolution and pooling" + default,
    )
    for flag, value, text in (
        ("--batch-size", 1, "images in the batch" + default),
        ("--depth", 4, "how far into nested layers to go" + default),
        ("--num-classes", None, "outputs per image (default: the net's own)"),
        ("--in-channels", None, "channels of an image (default: the net's own)"),
    ):
        summary.add_argument(flag, type=_positive, metavar="INT", default=value, help=text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Print the table."""
    import torchinfo
    from torchinfo.enums import Units

    channels, *extents = MODELS[options.model].input_shape
    image = (options.in_channels or channels, *extents)
    with torch.device("meta"):
        model = build(
            options.model,
            layers=options.layers,
            num_classes=options.num_classes,
            in_channels=options.in_channels,
        )
    found = torchinfo.summary(
        model,
        input_size=(options.batch_size, *image),
        col_names=COLUMNS,
        depth=options.depth,
        device="meta",
        verbose=0,
    )
    # torchinfo 1.8 prints the name of a unit instead of its letter since Python 3.11.
    print(re.sub(r"Units\.(\w+)", lambda unit: Units[unit[1]].value, str(found)))
    print(
        "Multiply-adds are those of the batch, with a weight or bias of every layer as one; "
        "without biases\nand batch norms, convolutions and linear layers have "
        f"{cost(model, image).multiply_adds:,} per image."
    )
    return 0
