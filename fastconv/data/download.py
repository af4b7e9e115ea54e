"""Fetches the files of a data set: a file is complete and checked by md5, or is not there.

Layer: below the data sets; the standard library, tqdm where something is fetched.
"""

import hashlib
import urllib.request
from http.client import HTTPException
from pathlib import Path

from fastconv.data.dataset import DataError
from fastconv.data.reading import LIMIT

CHUNK = 1 << 20  # bytes per read
TIMEOUT = 30  # seconds without an answer


def fetch(url: str, md5: str, folder: Path) -> bytes:
    """The content of ``url``, with a progress bar on a terminal.

    Args:
        folder: where the file belongs; only for the message.

    Raises:
        DataError: no answer, too long, or not the content that ``md5`` stands for.
        ModuleNotFoundError: tqdm is not installed.
    """
    from tqdm import tqdm

    content = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            name = url.rpartition("/")[2]
            with tqdm(desc=name, total=size, unit="B", unit_scale=True, disable=None) as bar:
                while len(content) <= LIMIT and (chunk := answer.read(CHUNK)):
                    content += chunk
                    bar.update(len(chunk))
    except (OSError, ValueError, HTTPException) as error:  # URLError and timeouts are OSErrors
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"cannot download {url} ({reason}): "
            f"check the network, or put the file into {folder} yourself"
        ) from error
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise DataError(
            f"{url} arrived damaged (its md5 is not {md5}): "
            f"try again, or put the file into {folder} yourself"
        )
    return bytes(content)
