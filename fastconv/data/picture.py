"""A picture file as it is: uint8 (C, IH, IW), C = 1 for grey and 3 for colour.

Layer: beside the data sets, whose folders of pictures are decoded to one size instead.
"""

from pathlib import Path

import numpy
import torch
from PIL import Image, ImageOps

from fastconv.data.folder import Advice, opened

SAMPLES = ("china.jpg", "flower.jpg")  # come with scikit-learn
GREY_MODES = ("1", "L")
ADVICE = Advice(
    missing=f": give a picture file, or {' or '.join(SAMPLES)}",
    folder=": give a picture file",
    damaged="",
)


def read(path: str | Path, grey: bool = False) -> torch.Tensor:
    """The picture at ``path``, upright, transparent parts on white.

    Args:
        path: a picture file; or one of ``SAMPLES``, if there is no such file.
        grey: only the brightness (the BT.601 luma) of a coloured picture.

    Returns:
        uint8, (1, IH, IW) if grey, else (3, IH, IW)

    Raises:
        DataError: missing, unreadable, damaged, no picture, more pixels than
            ``PIL.Image.MAX_IMAGE_PIXELS``, or not of 8 bits per channel.
        ModuleNotFoundError: a sample without scikit-learn.
    """
    path = Path(path)
    if str(path) in SAMPLES and not path.exists():
        from sklearn.datasets import load_sample_image

        image = Image.fromarray(load_sample_image(str(path)))
    else:
        image = _decode(path)
    if grey:
        image = image.convert("L")
    pixels = torch.from_numpy(numpy.array(image))
    return pixels.view(*pixels.shape[:2], -1).permute(2, 0, 1)


def _decode(path: Path) -> Image.Image:
    """In mode L or RGB, whatever is transparent on white."""
    with opened(path, ADVICE) as image:
        image = ImageOps.exif_transpose(image)
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
        return image.convert("L" if image.mode in GREY_MODES else "RGB")
