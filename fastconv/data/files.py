"""Writes a file so that a reader sees the old file or the new one, never a part.

Layer: below data, train and plots; standard library only.
"""

import os
import socket
from pathlib import Path


class WriteError(RuntimeError):
    """A file could not be written; the message is one sentence that names it."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``, making its folder if needed.

    The bytes go to a temporary file in the same folder and reach the disk before the name moves,
    so a crash, a full disk or Ctrl-C leaves the earlier file as it was. What a killed process has
    left of a temporary file is removed by the next one that writes the same path.

    Raises:
        WriteError: the folder or the file cannot be written.
    """
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        try:
            with open(part, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise WriteError(
            f"cannot write {path} ({error.strerror or error}): make room or choose another folder"
        ) from error


def part_of(path: Path, process: int | str | None = None) -> Path:
    """The temporary file of ``path`` that this process (or another of this machine) writes.

    Host and process id keep two writers of the same file out of each other's.
    """
    return path.with_name(f"{path.name}.{socket.gethostname()}.{process or os.getpid()}.part")


def _sweep(path: Path) -> None:
    """Remove temporary files of ``path`` that processes of this machine left when killed."""
    for part in path.parent.iterdir():
        process = part.suffixes[-2][1:] if len(part.suffixes) >= 2 else ""
        if not process.isdecimal() or part != part_of(path, process):
            continue
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            part.unlink(missing_ok=True)
        except PermissionError:  # it runs, and is another user's
            pass
