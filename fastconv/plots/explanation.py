"""Bars by layer of an Explanation: time beside torch's, or multiply-adds where there is no time.

Layer: beside the other pictures.
"""

from pathlib import Path

from fastconv.explain import Explanation, Row
from fastconv.plots.canvas import BLUE, GREY, INK, VERMILION, new_figure, write

ROW_INCHES, MOST_ROWS = 0.24, 150  # more rows than that are the slowest ones alone


def _label(row: Row) -> str:
    return f"{row.layer or row.operator}, {row.direction} ({row.path})"


def draw(explanation: Explanation, path: Path, title: str) -> None:
    """Write the picture, a PNG.

    Measured rows are bars of torch's time over ours: blue where fastconv is faster, vermilion
    where it is slower. Others are grey bars of multiply-adds. Rows left to torch have no bar.

    Raises:
        WriteError: the file cannot be written.
    """
    rows = [row for row in explanation.rows if row.path != "torch"]
    measured = [row for row in rows if row.ratio is not None]
    if len(measured) > MOST_ROWS:
        measured = sorted(measured, key=lambda row: row.ratio)[:MOST_ROWS]
    rows = measured or rows[:MOST_ROWS]
    figure = new_figure(10, 1.6 + ROW_INCHES * max(len(rows), 1), title)
    axes = figure.subplots()
    places = range(len(rows))
    if measured:
        colours = [BLUE if row.ratio >= 1 else VERMILION for row in rows]
        axes.barh(places, [row.ratio for row in rows], color=colours)
        axes.axvline(1, color=INK, linewidth=1)
        axes.set_xlabel("time of torch / time of fastconv: above 1 (blue) fastconv is faster")
    else:
        axes.barh(places, [row.multiply_adds / 1e6 for row in rows], color=GREY)
        axes.set_xlabel("millions of multiply-adds")
    axes.set_yticks(places, [_label(row) for row in rows], fontsize=7)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    write(figure, path)
