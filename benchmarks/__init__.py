"""Measurements; CONTRIBUTING.md lists the commands. Tests and benchmarks share tests/support: one
list of cases (cases.py) and the matrices of Winograd (winograd_matrices.py)."""

import sys
from pathlib import Path

SUPPORT = Path(__file__).resolve().parent.parent / "tests" / "support"
if str(SUPPORT) not in sys.path:
    sys.path.insert(0, str(SUPPORT))
