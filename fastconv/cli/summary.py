"""``fastconv summary MODEL``: its layers with output shapes, parameters, multiply-adds, memory.

Layer: a command; what needs an optional package is imported only when it runs.
"""

import argparse
import re
import warnings
from collections.abc import Sequence

import torch
from torch import nn

from fastconv.cli.streams import fail
from fastconv.cli.users import check_input, net_or_own_model, positive, size
from fastconv.conversion import convert
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
        "model", metavar="MODEL", type=net_or_own_model,
        help="net; 'fastconv models' lists them; or MODULE:FACTORY, which makes your own",
    )  # fmt: skip
    summary.add_argument("--input", type=size, metavar="SIZE", help="of your own: 8x3x224x224")
    summary.add_argument(
        "--layers",
        choices=LAYER_SETS,
        default="fastconv",
        help="whose convolution and pooling" + default,
    )
    for flag, value, text in (
        ("--batch-size", None, "images in the batch (default: 1)"),
        ("--depth", 4, "how far into nested layers to go" + default),
        ("--num-classes", None, "outputs per image (default: the net's own)"),
        ("--in-channels", None, "channels of an image (default: the net's own)"),
    ):
        summary.add_argument(flag, type=positive, metavar="INT", default=value, help=text)


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Print the table."""
    import torchinfo
    from torchinfo.enums import Units

    of_nets = {"batch_size": None, "num_classes": None, "in_channels": None}
    wrong = check_input(options, of_nets)
    if wrong:
        return fail(wrong, 2)
    model, input_size = _model_and_size(options)
    found = torchinfo.summary(
        model,
        input_size=input_size,
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
        f"{cost(model, input_size[1:]).multiply_adds:,} per image."
    )
    return 0


def _model_and_size(options: argparse.Namespace) -> tuple[nn.Module, tuple[int, ...]]:
    if isinstance(options.model, str):
        channels, *extents = MODELS[options.model].input_shape
        image = (options.in_channels or channels, *extents)
        with torch.device("meta"):
            model = build(
                options.model,
                layers=options.layers,
                num_classes=options.num_classes,
                in_channels=options.in_channels,
            )
        return model, (options.batch_size or 1, *image)
    model = options.model.build().to("meta")
    if options.layers == "fastconv":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of layers that stay: fastconv explain says it
            convert(model)
    return model, options.input
