"""Rows of a step, in a file that is complete after each row."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path


class Rows:
    """`file` holds {key: row}. A row that is there is not computed again."""

    def __init__(self, file: Path) -> None:
        self.file = Path(file)
        self.rows = json.loads(self.file.read_text()) if self.file.exists() else {}

    def add(self, key: str, compute: Callable[[], dict]) -> dict:
        """What `compute` gives, or {"error": its exception}."""
        if key in self.rows and "error" not in self.rows[key]:
            return self.rows[key]
        start = time.monotonic()
        try:
            row = compute()
        except Exception as error:  # one row must not cost the others
            row = {"error": f"{type(error).__name__}: {error}"[:500]}
        self.rows[key] = {**row, "seconds": round(time.monotonic() - start, 3)}
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.rows, indent=1))
        os.replace(part, self.file)
        print(f"{key}: {self.rows[key]}", flush=True)
        return self.rows[key]

    def errors(self) -> list[str]:
        return [f"{key}: {row['error']}" for key, row in self.rows.items() if "error" in row]
