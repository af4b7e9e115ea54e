"""``fastconv info``: what fastconv is and what it found on this machine.

Layer: a command.
"""

import argparse
from collections.abc import Sequence


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    info = commands.add_parser(
        "info",
        help="print the version, the instruction set and the number of threads",
        description="Print what fastconv is and what it found on this machine.",
    )
    info.set_defaults(run=run)


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Print the report."""
    from fastconv.info import report

    print(report())
    return 0
