"""Reads a picture file: uint8 (C, IH, IW), C = 1 for grey and 3 for colour.

Layer: above the data sets, whose decoder reads the file.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from PIL import Image

from fastconv.data.decoding import Advice, decoded

SAMPLES = ("china.jpg", "flower.jpg")  # come with scikit-learn
ADVICE = Advice(
    missing=f": give a picture file, or {' or '.join(SAMPLES)}",
    folder=": give a picture file",
    damaged="",
)


@dataclass(frozen=True)
class Picture:
    """A decoded picture whose rows become tensors when asked for: a large one is held once."""

    image: Image.Image  # of mode L or RGB

    @property
    def shape(self) -> torch.Size:
        """(C, IH, IW)."""
        return torch.Size((len(self.image.getbands()), self.image.height, self.image.width))

    def rows(self, start: int, end: int) -> torch.Tensor:
        """Rows ``start`` to ``end``, the latter not included: uint8 (C, end - start, IW)."""
        C, _, IW = self.shape
        part = self.image.crop((0, start, IW, end))
        return torch.from_numpy(numpy.array(part)).view(end - start, IW, C).permute(2, 0, 1)


def load(path: str | Path, grey: bool = False) -> Picture:
    """The picture at ``path``, upright, transparent parts on white.

    Args:
        path: a picture file; or one of ``SAMPLES``, if there is no such file.
        grey: only the brightness (the BT.601 luma) of a coloured picture.

    Raises:
        DataError: as :func:`fastconv.data.decoding.decoded`.
        ModuleNotFoundError: a sample without scikit-learn.
    """
    path = Path(path)
    if str(path) in SAMPLES and not path.exists():
        from sklearn.datasets import load_sample_image

        image = Image.fromarray(load_sample_image(str(path)))
        return Picture(image.convert("L") if grey else image)
    return Picture(decoded(path, grey, ADVICE))


def read(path: str | Path, grey: bool = False) -> torch.Tensor:
    """The same as a tensor, uint8: (1, IH, IW) if grey, else (3, IH, IW)."""
    picture = load(path, grey)
    return picture.rows(0, picture.shape[1])
