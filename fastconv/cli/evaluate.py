"""``fastconv evaluate``: the accuracy of a trained model, class by class.

Layer: a command; what needs an optional package is imported only when it runs.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fastconv.data.words import brief
from fastconv.train import Place, checkpoint, load_data
from fastconv.train.config import TrainError


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    evaluate = commands.add_parser(
        "evaluate",
        help="accuracy of a trained model, class by class",
        description="Evaluate the model of a checkpoint on the images it was trained on, or on "
        "the test images of the same data set.",
    )
    evaluate.set_defaults(run=run)
    evaluate.add_argument("checkpoint", type=Path, metavar="CKPT", help="checkpoint, or its folder")
    evaluate.add_argument("--layers", choices=("fastconv", "torch"), help="which of its models")
    evaluate.add_argument(
        "--split",
        choices=("train", "test"),
        default="test",
        help="which images (default: %(default)s)",
    )
    evaluate.add_argument(
        "--root", type=Path, help="folder of the data sets (default: $FASTCONV_DATA, else data)"
    )


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Print accuracy, and the table of the classes."""
    from fastconv.cli.console import class_table
    from fastconv.train.evaluate import accuracy, confusion_matrix

    trained = checkpoint.load_model(options.checkpoint, options.layers)
    dataset = load_data(trained.config, options.root)
    if dataset.classes != trained.classes:
        theirs, ours = (brief(", ".join(names)) for names in (trained.classes, dataset.classes))
        raise TrainError(
            f"{options.checkpoint} was trained on the classes {theirs}, but the data set has "
            f"{ours}: give the --root it was trained on"
        )
    split = getattr(dataset, options.split)
    confusion = confusion_matrix(trained.model, dataset, split, Place())
    print(class_table({trained.layers: confusion}, dataset.classes))
    print(f"\n{accuracy(confusion):.2%} of {len(split):,} {options.split} images are right")
    return 0
