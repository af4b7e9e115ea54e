"""Opens the files of data sets. Each error is one sentence that names the file.

Layer: below the data sets, above ``dataset``; standard library only.
"""

import os
import stat
from pathlib import Path

from fastconv.data.dataset import DataError

LIMIT = 1 << 30  # bytes that any one file of a data set may hold once unpacked


def damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path} {what}: delete it and get it again, for instance with --download")


def missing(path: Path, layout: str) -> DataError:
    """``path`` is not there; the data set's folder under the root is ``layout``."""
    return DataError(
        f"{path} is missing: use --download, "
        f"or --root or FASTCONV_DATA for the folder that holds {layout}"
    )


def unreadable(path: Path | str, error: OSError) -> DataError:
    return DataError(f"{path} cannot be read ({error.strerror or error}): check its permissions")


def is_file(path: Path) -> bool:
    """Whether ``path`` is a regular file.

    Raises:
        DataError: it cannot be told, for instance because the folder may not be entered.
    """
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unreadable(path, error) from error


def read_bytes(path: Path, layout: str) -> bytes:
    """The content of a file of at most ``LIMIT`` bytes.

    Raises:
        DataError: missing, unreadable, empty or too large.
    """
    if not is_file(path):
        raise missing(path, layout)
    try:
        with open(path, "rb") as stream:
            if os.fstat(stream.fileno()).st_size > LIMIT:
                raise damaged(path, f"is larger than {LIMIT:,} bytes")
            content = stream.read()
    except OSError as error:
        raise unreadable(path, error) from error
    if not content:
        raise damaged(path, "is empty")
    return content
