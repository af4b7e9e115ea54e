"""stdout and stderr of a command: letters that they lack, a pipe without a reader, a full disk.

Layer: below the command line; standard library only.
"""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from typing import TextIO

PIPE_CLOSED = 128 + 13  # what a shell says of a program that SIGPIPE has ended
# Of an OSError that names no file: what writing to a file, disk or terminal comes to.
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
RAISING = {"strict", "surrogateescape"}  # ways with letters that an encoding lacks


def run(command: Callable[[], int]) -> int:
    """The exit code of ``command``, all of whose output has been written.

    Letters that the encoding lacks are written as their numbers. Where the reader of a pipe has
    gone the command ends in silence with ``PIPE_CLOSED``; where output cannot be written, with a
    sentence and 1.
    """
    with _streams():
        try:
            try:
                return command()
            finally:  # also of --help, which leaves by SystemExit
                sys.stdout.flush()
        except BrokenPipeError:
            _drop(sys.stdout)
            return PIPE_CLOSED
        except OSError as error:
            if error.errno not in UNWRITABLE or error.filename is not None:
                raise
            _drop(sys.stdout)
            return fail(
                f"cannot write the output ({error.strerror}): make room or send it elsewhere"
            )


def fail(message: str, code: int = 1) -> int:
    """Write the one sentence of a command that ends in an error; returns ``code``."""
    try:
        print(f"fastconv: {message}", file=sys.stderr, flush=True)
    except OSError:  # nor can that be written
        _drop(sys.stderr)
    return code


@contextmanager
def _streams() -> Iterator[None]:
    """No letter makes writing fail meanwhile, nor does a stdout that was closed from the start."""
    with ExitStack() as stack:
        if sys.stdout is None:
            stack.enter_context(redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
        for stream in (sys.stdout, sys.stderr):
            if getattr(stream, "errors", None) in RAISING and hasattr(stream, "reconfigure"):
                stack.callback(_reconfigure, stream, stream.errors)
                stream.reconfigure(errors="backslashreplace")
        yield


def _reconfigure(stream: TextIO, errors: str) -> None:
    with suppress(OSError, ValueError):  # it flushes, and the stream may have been closed
        stream.reconfigure(errors=errors)


def _drop(stream: TextIO) -> None:
    """What is still to be written goes nowhere, or Python would fail on it at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
