"""The command line: ``fastconv train`` and ``fastconv info``.

Layer: the top; what needs an optional package is imported only by the command that uses it.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import torch

import fastconv
from fastconv import data, models
from fastconv.config import LAYER_CHOICES, RECIPES, Config, TrainError
from fastconv.data import DataError
from fastconv.files import WriteError
from fastconv.train import Trainer, checkpoint_path

# What training needs beyond torch: name of the module, name of the package.
TRAIN_PACKAGES = {
    "matplotlib": "matplotlib",
    "sklearn": "scikit-learn",
    "tabulate": "tabulate",
    "tqdm": "tqdm",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 after an error, 130 after Ctrl-C.

    Wrong options end the process with code 2, as argparse does.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    try:
        return options.run(options, arguments)
    except (DataError, TrainError, WriteError) as error:
        return _fail(str(error), 1)
    except PermissionError as error:
        return _fail(f"no permission for {error.filename}: choose another folder", 1)
    except ModuleNotFoundError as error:
        package = TRAIN_PACKAGES.get((error.name or "").partition(".")[0])
        if package is None:
            raise
        return _fail(f"{package} is not installed: pip install fastconv[train]", 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _fail(message: str, code: int) -> int:
    print(f"fastconv: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastconv", description="Fast convolution and pooling for PyTorch on CPUs."
    )
    parser.add_argument("--version", action="version", version=fastconv.__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_train(commands)
    info = commands.add_parser(
        "info",
        help="print the version, the instruction set and the number of threads",
        description="Print what fastconv is and what it found on this machine.",
    )
    info.set_defaults(run=_info)
    return parser


def _add_train(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser(
        "train",
        help="train a net with fastconv's layers and with torch.nn's, side by side",
        description="Train a net with fastconv's layers and with torch.nn's from the same seed, "
        "epochs taking turns, and compare accuracy and speed.",
    )
    train.set_defaults(run=_train)
    default = " (default: %(default)s)"

    what = train.add_argument_group("what to train")
    what.add_argument("--model", choices=models.MODELS, default="lenet5", help="net" + default)
    what.add_argument("--data", choices=data.LOADERS, default="digits", help="data set" + default)
    what.add_argument(
        "--layers",
        choices=LAYER_CHOICES,
        default="both",
        help="whose convolution and pooling" + default,
    )

    how = train.add_argument_group("how to train: SGD with momentum, lr falling along a cosine")
    for field, kind, text in (
        ("epochs", int, "passes over the training images"),
        ("batch_size", int, "images per step"),
        ("lr", float, "learning rate at the start"),
        ("momentum", float, "momentum"),
    ):
        defaults = (f"{name}: {getattr(recipe, field)}" for name, recipe in RECIPES.items())
        how.add_argument(
            "--" + field.replace("_", "-"),
            type=kind,
            metavar=kind.__name__.upper(),
            help=f"{text} (default for {', for '.join(defaults)})",
        )
    how.add_argument(
        "--seed",
        type=int,
        metavar="INT",
        default=0,
        help="decides the first weights and the order of the images" + default,
    )
    how.add_argument(
        "--threads", type=int, metavar="INT", help="CPU threads (default: torch's choice)"
    )

    where = train.add_argument_group("where")
    where.add_argument(
        "--root", type=Path, help="folder of the data sets (default: $FASTCONV_DATA, else data)"
    )
    where.add_argument("--download", action="store_true", help="fetch the files that are missing")
    where.add_argument("--out", type=Path, help="folder for the results (default: runs/DATA-MODEL)")
    where.add_argument(
        "--resume", action="store_true", help="continue the run in that folder, interrupted or not"
    )


def _train(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    # Here, so that a missing package ends the command before the training, not after.
    from fastconv.console import Console, summary
    from fastconv.plots import draw

    names = ("data", "model", "layers", "epochs", "batch_size", "lr", "momentum", "seed")
    config = Config.for_data(**{name: getattr(options, name) for name in names})
    out = options.out or Path("runs") / f"{config.data}-{config.model}"
    with _threads(options.threads):
        dataset = data.load(config.data, options.root, options.download)
        if checkpoint_path(out).exists() and not options.resume:
            print(f"{out} holds an earlier run: starting anew and overwriting it")
        trainer = Trainer(config, dataset, out, resume=options.resume)
        print(_headline(trainer), flush=True)
        images_per_epoch = len(dataset.train_labels) * len(trainer.learners)
        console = Console(config.epochs, trainer.epochs_done, images_per_epoch)
        try:
            with closing(console):
                history = trainer.fit(console)
            draw(trainer)
        except KeyboardInterrupt:
            again = [word for word in arguments if word != "--resume"] + ["--resume"]
            return _fail(
                f"interrupted; the finished epochs are in {checkpoint_path(out)}, "
                f"continue with: {shlex.join(['fastconv', *again])}",
                130,
            )
    print(f"\n{summary(history)}\n\nmetrics, pictures and checkpoint are in {out}")
    return 0


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Torch with so many threads, None for as many as it has."""
    before = torch.get_num_threads()
    if count is not None and count < 1:
        raise TrainError(f"threads is {count}: it must be at least 1")
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _headline(trainer: Trainer) -> str:
    config, dataset = trainer.config, trainer.dataset
    model = next(iter(trainer.learners.values())).model
    weights = sum(parameter.numel() for parameter in model.parameters())
    done = f", {trainer.epochs_done} of them done" if trainer.epochs_done else ""
    return (
        f"{config.model} ({weights:,} parameters) on {dataset.name} "
        f"({len(dataset.train_labels):,} training and {len(dataset.test_labels):,} test images), "
        f"CPU threads: {torch.get_num_threads()}\n"
        f"{config.epochs} epochs{done}, batches of {config.batch_size}, "
        f"SGD with lr {config.lr} and momentum {config.momentum}, seed {config.seed}"
    )


def _info(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    from fastconv.info import report

    print(report())
    return 0
