"""Imports matplotlib whatever MPLBACKEND says. The import would fail if it named a missing module.

Layer: the lowest of the pictures. They draw on a canvas of their own and need no backend.
"""

import os
import sys
from contextlib import suppress


def import_matplotlib() -> None:
    """Import matplotlib; its backend is what MPLBACKEND names, if that is there."""
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:  # for the pictures of others in this process
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend


import_matplotlib()
