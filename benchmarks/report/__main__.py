"""python -m benchmarks.report: see readme.py."""

import sys

from benchmarks.report.readme import main

sys.exit(main())
