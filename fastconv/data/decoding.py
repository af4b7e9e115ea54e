"""Decodes picture files: which formats are read, how transparency shows, and what errors say.

Layer: below the folders of pictures, ``filters`` and ``show``, which all get a file from
``decoded``; Pillow where a picture is decoded.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastconv.data.dataset import DataError
from fastconv.data.reading import unreadable

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # and no other decoder is run
GREY_MODES = ("1", "L", "LA", "La")
BACKGROUND = "white"  # of transparent parts: what pages and viewers show behind them


class Advice(NamedTuple):
    """What follows "PATH is missing", "PATH is a folder" and "PATH is not an intact picture"."""

    missing: str = ""
    folder: str = ", not a picture"
    damaged: str = ": remove it"


IN_A_DATA_SET = Advice()


def decoded(path: str | Path, grey: bool = False, advice: Advice = IN_A_DATA_SET) -> "Image.Image":
    """The first frame of the picture at ``path``, upright as its EXIF orientation says.

    Transparent parts are laid on white.

    Args:
        grey: only the brightness (the BT.601 luma) of a coloured picture.

    Returns:
        an image of mode L (if it is grey, or asked to be) or RGB

    Raises:
        DataError: missing, unreadable, damaged, more pixels than ``PIL.Image.MAX_IMAGE_PIXELS``,
            or not of 8 bits per channel.
        ModuleNotFoundError: Pillow is not installed.
    """
    from PIL import Image, ImageOps

    with opened(path, advice) as image:
        ImageOps.exif_transpose(image, in_place=True)
        mode = "L" if grey or image.mode in GREY_MODES else "RGB"
        if image.has_transparency_data:
            behind = Image.new("RGBA", image.size, BACKGROUND)
            image = Image.alpha_composite(behind, image.convert("RGBA"))
        if image.mode not in ("L", "RGB"):
            image = image.convert("RGB")
        image.load()
        return image if image.mode == mode else image.convert(mode)


@contextmanager
def opened(path: str | Path, advice: Advice = IN_A_DATA_SET) -> Iterator["Image.Image"]:
    """The picture at ``path``, to be decoded inside the ``with``, whose errors are translated.

    Raises:
        DataError, ModuleNotFoundError: as ``decoded``.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                if picture.mode[0] in "IF":
                    raise DataError(f"{path} has more than 8 bits per channel: convert it")
                yield picture
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing{advice.missing}") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder{advice.folder}") from error
    except PermissionError as error:
        raise unreadable(path, error) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels: make it smaller"
        ) from error
    except Exception as error:  # decoders raise all kinds: OSError, SyntaxError, struct.error, ...
        reason = "unknown format" if isinstance(error, Image.UnidentifiedImageError) else error
        raise DataError(f"{path} is not an intact picture ({reason}){advice.damaged}") from error
