"""``python -m fastconv``: the same as the command ``fastconv``."""

import sys

from fastconv.cli import main

sys.exit(main())
