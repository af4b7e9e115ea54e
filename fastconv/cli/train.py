"""``fastconv train``: trains a net with fastconv's layers, with torch.nn's, or with both in turns.

Layer: a command; what needs an optional package is imported only when it runs.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import fields
from pathlib import Path

import torch

from fastconv import data, models
from fastconv.train import Place, Trainer, checkpoint, join, load_data
from fastconv.train.config import (
    AUGMENTATIONS,
    LAYER_CHOICES,
    LOSSES,
    MODEL_RECIPES,
    OPTIMIZERS,
    RECIPES,
    SCHEDULES,
    Config,
    TrainError,
)
from fastconv.train.learner import DIVERGED

DEFAULT = " (default: %(default)s)"
CLASSES_SHOWN = 20  # of the table at the end; classes.csv has them all


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    train = commands.add_parser(
        "train",
        help="train a net with fastconv's layers and with torch.nn's, side by side",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train a net with fastconv's layers and with torch.nn's from the same seed,\n"
        "epochs taking turns, and compare accuracy and speed. Several processes:"
        "\n  torchrun --nproc-per-node 2 -m fastconv train ...\n"
        "A training that diverges ends with an error. The epochs before it stay in the\n"
        "checkpoint. It diverges if the loss is not finite, or if the median loss over the\n"
        f"second half of an epoch is more than {DIVERGED} times the loss of the first step\n"
        "and the loss of guessing.",
        epilog=_recipes(),
    )
    train.set_defaults(run=run)
    _add_what(train.add_argument_group("what to train"))
    _add_optimiser(train.add_argument_group("optimiser (where no default is given: the recipe's)"))
    _add_images(train.add_argument_group("images and loss"))
    _add_start(train.add_argument_group("start"))
    _add_machine(train.add_argument_group("machine"))
    _add_files(train.add_argument_group("files"))


def _recipes() -> str:
    lines = ["recipes of the data sets and of models that have one of their own:"]
    configs = {name: Config.for_data(name, model="lenet5") for name in RECIPES}
    configs |= {name: Config.for_data("cifar10", model=name) for name in MODEL_RECIPES}
    for name, config in configs.items():
        numbers = f"{config.epochs} epochs, batches of {config.batch_size}"
        lines.append(f"  {name}: {numbers}, {config.describe()}")
    return "\n".join(lines)


def _names(text: str) -> tuple[str, ...]:
    """The names in "a,b,c"; "none" for no name."""
    return () if text == "none" else tuple(name.strip() for name in text.split(",") if name)


def _add_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--model",
        choices=models.MODELS,
        metavar="MODEL",
        default="lenet5",
        help="net; `fastconv models` lists them" + DEFAULT,
    )
    group.add_argument("--data", choices=data.DATASETS, default="digits", help="data set" + DEFAULT)
    group.add_argument(
        "--classes", type=_names, metavar="A,B,...", help="keep these classes, in this order"
    )
    group.add_argument(
        "--layers",
        choices=LAYER_CHOICES,
        default="both",
        help="whose convolution and pooling" + DEFAULT,
    )
    group.add_argument(
        "--compare",
        action="store_const",
        const="both",
        dest="layers",
        help="the same as --layers both",
    )


def _add_optimiser(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--epochs", type=int, metavar="INT", help="passes over the training images")
    group.add_argument(
        "--max-steps", type=int, metavar="INT", help="end after so many steps, if that is earlier"
    )
    group.add_argument(
        "--batch-size", type=int, metavar="INT", help="images per step, over all processes"
    )
    group.add_argument(
        "--optimizer", choices=OPTIMIZERS, help="the recipes are for sgd, which is the default"
    )
    group.add_argument(
        "--lr", type=float, metavar="FLOAT", help="learning rate (default for others: 0.001)"
    )
    group.add_argument("--momentum", type=float, metavar="FLOAT", help="of sgd and rmsprop")
    group.add_argument(
        "--nesterov",
        action=argparse.BooleanOptionalAction,
        help="Nesterov's form of momentum, with sgd",
    )
    group.add_argument(
        "--weight-decay", type=float, metavar="FLOAT", help="(default for adamw: 0.01)"
    )
    group.add_argument("--schedule", choices=SCHEDULES, help="of the learning rate")
    group.add_argument(
        "--step-size",
        type=int,
        metavar="EPOCHS",
        help="of the schedule step (default: a third of the run)",
    )
    group.add_argument(
        "--gamma", type=float, metavar="FLOAT", help="factor of the schedule step (default: 0.1)"
    )
    group.add_argument(
        "--warmup",
        type=float,
        metavar="EPOCHS",
        help="over which the rate rises from 0, parts of an epoch included (default: 0; onecycle: "
        "0.3 of the run)",
    )


def _add_images(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--augment",
        type=_names,
        metavar="crop,flip|none",
        help=f"change training images at random: {', '.join(AUGMENTATIONS)}",
    )
    group.add_argument(
        "--crop-padding", type=int, metavar="INT", help="pixels to crop by at most (default: 4)"
    )
    group.add_argument(
        "--mixup", type=float, metavar="ALPHA", help="mix pairs of images (default: 0, not at all)"
    )
    group.add_argument("--loss", choices=LOSSES, help="(default: cross-entropy)")
    group.add_argument(
        "--label-smoothing", type=float, metavar="FLOAT", help="with cross-entropy (default: 0)"
    )


def _add_start(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--seed",
        type=int,
        metavar="INT",
        default=0,
        help="decides the first weights and all that is random" + DEFAULT,
    )
    group.add_argument(
        "--init-from",
        metavar="CKPT",
        help="start from the weights in this checkpoint or state_dict, as far as they fit",
    )
    group.add_argument(
        "--freeze",
        type=_names,
        metavar="PREFIX,...",
        help="parts of the model that stay as they are, for instance features",
    )
    group.add_argument(
        "--resume", action="store_true", help="continue the run in --out, interrupted or not"
    )


def _add_machine(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N" + DEFAULT)
    group.add_argument(
        "--threads", type=int, metavar="INT", help="CPU threads (default: torch's choice)"
    )
    for name, text in (
        ("amp", "bfloat16 autocast"),
        ("channels-last", "weights and images in the channels_last layout"),
        ("compile", "through torch.compile; the first epoch's time includes the compiler's"),
    ):
        group.add_argument(f"--{name}", action="store_true", help=text)


def _add_files(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--root", type=Path, help="folder of the data sets (default: $FASTCONV_DATA, else data)"
    )
    group.add_argument("--download", action="store_true", help="fetch the files that are missing")
    group.add_argument("--out", type=Path, help="folder for the results (default: runs/DATA-MODEL)")
    group.add_argument(
        "--tensorboard", type=Path, metavar="DIR", help="write a TensorBoard log there"
    )


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Train as ``options`` say; ``arguments`` are the words they came from."""
    # Here, so that a missing package ends the command before the training, not after.
    import fastconv.cli.console
    import fastconv.plots

    if options.tensorboard:
        import fastconv.train.tensorboard  # noqa: F401

    given = {field.name: getattr(options, field.name) for field in fields(Config)}
    config = Config.for_data(**given)
    options.out = options.out or Path("runs") / f"{config.data}-{config.model}"
    with _threads(options.threads), join(options.device) as place:
        try:
            _train(config, options, place)
        except KeyboardInterrupt:
            if not place.leads:
                sys.exit(130)  # not return, for then join would wait for the others
            again = [word for word in arguments if word != "--resume"] + ["--resume"]
            launch = "fastconv" if place.size == 1 else "torchrun ... -m fastconv"
            raise KeyboardInterrupt(
                f"interrupted; the finished epochs are in {checkpoint.path_in(options.out)}, "
                f"continue with: {launch} {shlex.join(again)}"
            ) from None
    return 0


def _train(config: Config, options: argparse.Namespace, place: Place) -> None:
    with place.leader_first():
        dataset = load_data(config, options.root, options.download)
    if not place.leads:
        Trainer(config, dataset, options.out, resume=options.resume, place=place).fit()
        return
    if checkpoint.path_in(options.out).exists() and not options.resume:
        print(f"{options.out} holds an earlier run: starting anew and overwriting it")
    trainer = Trainer(config, dataset, options.out, resume=options.resume, place=place)
    _lead(trainer, options.tensorboard)


def _lead(trainer: Trainer, tensorboard: Path | None) -> None:
    """Train, and say, draw and log what happens."""
    from fastconv.cli.console import Console, class_table, summary
    from fastconv.plots import draw

    print(_headline(trainer), flush=True)
    count = len(trainer.learners)
    with ExitStack() as stack:
        console = Console(trainer.epochs, trainer.total_steps * count, trainer.steps_done * count)
        observers = [stack.enter_context(closing(console))]
        if tensorboard is not None:
            from fastconv.train.tensorboard import TensorBoard

            observers.append(stack.enter_context(closing(TensorBoard(tensorboard, trainer))))
        history = trainer.fit(*observers)
    draw(trainer)
    classes = trainer.dataset.classes
    if len(classes) <= CLASSES_SHOWN:
        matrices = {name: learner.confusion for name, learner in trainer.learners.items()}
        print(f"\n{class_table(matrices, classes)}")
    print(f"\n{summary(history)}\n\nmetrics, pictures and checkpoint are in {trainer.out}")


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
    config, dataset, place = trainer.config, trainer.dataset, trainer.place
    learner = next(iter(trainer.learners.values()))
    weights = sum(parameter.numel() for parameter in learner.model.parameters())
    done = f", {trainer.epochs_done} of them done" if trainer.epochs_done else ""
    shape = " x ".join(map(str, dataset.train.images.shape[1:]))
    processes = f", {place.size} processes" if place.size > 1 else ""
    lines = [
        f"{config.model} ({weights:,} parameters) on {dataset.name}: {len(dataset.train):,} "
        f"training and {len(dataset.test):,} test images of {shape}, "
        f"{place.device}, CPU threads: {torch.get_num_threads()}{processes}",
        f"{trainer.epochs} epochs{done}, batches of {config.batch_size}, {config.describe()}, "
        f"seed {config.seed}",
    ]
    lines += [f"{one.layers}: {one.note}" for one in trainer.learners.values() if one.note]
    return "\n".join(lines)
