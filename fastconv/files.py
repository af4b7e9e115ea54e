"""Writing a file so that a reader sees the old one or the new one, never half of one.

Layer: below data, train and plots; standard library only.
"""

import os
from pathlib import Path


class WriteError(RuntimeError):
    """A file could not be written; the message is one sentence that names it."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``, making its folder if needed.

    The bytes go to a temporary file in the same folder and reach the disk before the name moves,
    so a crash, a full disk or Ctrl-C leaves the earlier file as it was.

    Raises:
        WriteError: the folder or the file cannot be written.
    """
    # The process id keeps two writers of the same file out of each other's temporary.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
