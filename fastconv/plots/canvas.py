"""What all pictures share: the sheet, its title, the colours, and the file at the end.

Layer: below the other pictures; matplotlib's Agg backend, without pyplot or its settings.
"""

import io
import re
import warnings
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fastconv.data.files import write_atomically
from fastconv.plots import fonts

# Blue and vermilion of Okabe and Ito, told apart with any colour vision.
BLUE, VERMILION = "#0072B2", "#D55E00"
INK, GREY = "#333333", "#bbbbbb"
SIGNED = "RdBu_r"  # colour map of numbers around 0: blue below, white at 0, red above
DPI = 150
NAME = {"parse_math": False}  # of a text with names from elsewhere, whose $ are no formula


def bare(axes: Axes) -> None:
    """An image without a frame or ticks."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def new_figure(width: float, height: float, title: str) -> Figure:
    """A figure of so many inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    figure.suptitle(title, fontsize=14, fontweight="bold", color=INK, **NAME)
    return figure


def write(figure: Figure, path: Path, dpi: int = DPI) -> None:
    """Write the figure as a PNG of so many dots per inch.

    Raises:
        WriteError: the file cannot be written.
    """
    content, missing = _render(figure, dpi)
    if missing:
        fonts.cover(figure, missing)
        content, _ = _render(figure, dpi)
    write_atomically(path, content)


def _render(figure: Figure, dpi: int) -> tuple[bytes, set[str]]:
    """The PNG, and the characters that its fonts have no glyphs for."""
    buffer, missing = io.BytesIO(), set()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=dpi)
    for warning in caught:
        glyph = re.match(r"Glyph (\d+) .*missing from", str(warning.message))
        if glyph:
            missing.add(chr(int(glyph[1])))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return buffer.getvalue(), missing
