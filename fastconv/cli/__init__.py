"""The command line: ``fastconv COMMAND``, each command a module here with add() and run().

Layer: the top; a command imports what needs an optional package only when it runs.
"""

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

import fastconv
from fastconv.cli import (
    bench,
    evaluate,
    explain,
    filters,
    info,
    models,
    show,
    streams,
    summary,
    train,
)
from fastconv.cli.streams import fail
from fastconv.cli.users import ModelError
from fastconv.data import DataError
from fastconv.data.files import WriteError
from fastconv.memory import keep_memory
from fastconv.plots.picture_kernels import FilterError
from fastconv.train.config import TrainError

# In the order of the help. A command is a module with add(commands), which adds its parser and
# names run, and run(options, arguments) -> exit code.
COMMANDS = (train, evaluate, show, filters, models, summary, explain, bench, info)

# What commands need beyond torch. Name of the module: name of the package, extra that brings it.
OPTIONAL_PACKAGES = {
    "PIL": ("pillow", "train"),
    "matplotlib": ("matplotlib", "train"),
    "msgspec": ("msgspec", "train"),
    "sklearn": ("scikit-learn", "train"),
    "tabulate": ("tabulate", "train"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "torchinfo": ("torchinfo", "train"),
    "tqdm": ("tqdm", "train"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 after an error, 130 after Ctrl-C, 141 where
    nobody reads its output any more.

    Wrong options end the process with code 2, as argparse does.
    """
    if argv is None:  # the process is the command's own
        keep_memory()
    return streams.run(lambda: _run(list(sys.argv[1:] if argv is None else argv)))


def _run(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        return options.run(options, arguments)
    except (DataError, FilterError, ModelError, TrainError, WriteError) as error:
        return fail(str(error))
    except PermissionError as error:
        return fail(f"no permission for {error.filename}: choose another folder")
    except ModuleNotFoundError as error:
        found = OPTIONAL_PACKAGES.get((error.name or "").partition(".")[0])
        if found is None:
            raise
        package, extra = found
        return fail(f"{package} is not installed: pip install fastconv[{extra}]")
    except KeyboardInterrupt as error:
        return fail(str(error) or "interrupted", 130)


class _Parser(argparse.ArgumentParser):
    """Says which choice is near one that is not there. Parsers of commands are of this class, too.

    argparse has this from Python 3.14 on (`suggest_on_error`), off by default.
    """

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if wrong:
            choices = re.findall(r"[\w-]+", wrong[2])
            near = difflib.get_close_matches(wrong[1], choices, n=1)
            if near:
                message = f"{message}; did you mean {near[0]!r}?"
        super().error(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fastconv", description="Fast convolution and pooling for PyTorch on CPUs."
    )
    parser.add_argument("--version", action="version", version=fastconv.__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser
