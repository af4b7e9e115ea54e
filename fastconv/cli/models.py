"""``fastconv models``: the nets that fastconv can build, and what each costs.

Layer: a command; what needs an optional package is imported only when it runs.
"""

import argparse
from collections.abc import Sequence

from fastconv.models import MODELS, build
from fastconv.models.cost import Unwritten, cost


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    models = commands.add_parser(
        "models",
        help="list the nets with input shape, parameters and multiply-adds",
        description="List the nets with three figures: the shape of an image that the net is made "
        "for (channels x height x width), the number of trainable parameters, and the "
        "multiply-adds of its convolutions and linear layers for one image, without biases.",
    )
    models.set_defaults(run=run)


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Print the table."""
    from tabulate import tabulate

    rows = []
    for name, spec in MODELS.items():
        with Unwritten():
            model = build(name)
        found = cost(model, spec.input_shape)
        extents = "x".join(map(str, spec.input_shape))
        counts = (f"{found.parameters:,}", f"{found.multiply_adds:,}")
        rows.append((name, extents, *counts, spec.description))
    headers = ("model", "input", "parameters", "multiply-adds", "description")
    sides = ("left", "right", "right", "right", "left")
    print(tabulate(rows, headers, tablefmt="simple", colalign=sides, disable_numparse=True))
    return 0
