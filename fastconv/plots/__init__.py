"""The pictures: curves of a run (run), filters and feature maps (layers), kernels (kernels).

Layer: beside train; matplotlib's Agg backend, without touching pyplot or its settings.
"""

import fastconv.plots.backend  # noqa: F401  (before all that imports matplotlib)
from fastconv.plots.kernels import kernels
from fastconv.plots.layers import convolutions, features, filters, mosaic, pages
from fastconv.plots.run import confusion, curves, draw

__all__ = [
    "confusion",
    "convolutions",
    "curves",
    "draw",
    "features",
    "filters",
    "kernels",
    "mosaic",
    "pages",
]
