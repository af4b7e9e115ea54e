"""Microseconds per call on a 1x1x8x8 input, layer by layer of the stack (harness/overhead.py).

python -m benchmarks.studies.overhead    ten seconds; writes
                                         benchmarks/results/overhead-<date>-<isa>.md
"""

from benchmarks.harness.machine import pin
from benchmarks.harness.overhead import CALLS, measure_overhead
from benchmarks.report import page, tables
from fastconv.core import eager

SECONDS = 10.0  # for all rows
METHOD = f"""\
Medians of rounds of {CALLS} calls in which both took turns in one process; a ratio is the median of
the ratios of the rounds. Below 1 fastconv is faster."""


def main(arguments: list[str] | None = None) -> None:
    made = page.parser("overhead", __doc__)
    made.set_defaults(threads=1)
    options = made.parse_args(arguments)
    pin(options.threads)
    job = {"stage": "overhead", "threads": options.threads}
    text = tables.overhead(measure_overhead(job, SECONDS)["calls"])
    result = page.result([], options.threads)
    host = f"Plain calls go {eager.describe()}."
    print(text)
    title = "Microseconds per call on a 1x1x8x8 input"
    print(page.write("overhead", result, title, [METHOD, host, text], options.out))


if __name__ == "__main__":
    main()
