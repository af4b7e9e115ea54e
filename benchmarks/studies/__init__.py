"""One question a file: `python -m benchmarks.studies.<name>` measures and writes a page."""
