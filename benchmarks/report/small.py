"""Pictures as small files, for they are kept in git: PNGs of few colours."""

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.harness.machine import ROOT
from fastconv.data.files import write_atomically

FOLDER = ROOT / "benchmarks" / "pictures"
MOST_BYTES = 150_000  # of a picture
DPI = 110
COLOURS = 256  # lines and bars have few, and their edges the shades between those and white


def write(figure: Figure, path: Path) -> None:
    """The figure as a PNG whose pixels are numbers in a palette.

    Raises:
        WriteError: the file cannot be written.
    """
    drawn, small = io.BytesIO(), io.BytesIO()
    FigureCanvasAgg(figure).print_figure(drawn, format="png", dpi=DPI)
    picture = Image.open(drawn).convert("RGB")
    picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        small, "PNG", optimize=True
    )
    write_atomically(path, small.getvalue())
