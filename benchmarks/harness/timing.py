"""Timing of benchmark rows: the clock of fastconv, repeated while a row is noisy."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from fastconv.clock import Call, Run, Spread, alternate, ratio, spread

__all__ = ["Call", "Measurement", "NOISE_BOUND", "REPEATS", "Spread", "measure", "ratio", "spread"]

NOISE_BOUND = 0.15  # quartile distance of a ratio, as a share of it, above which a row is noisy
REPEATS = 2  # of a noisy row, at most


class Measurement(NamedTuple):
    """Seconds per call of every call by name, one for each round, and how they came about."""

    times: dict[str, list[float]]
    faults: dict[str, float]  # pages that a call takes in anew from the system: median
    repeats: int
    noisy: bool

    def seconds(self, name: str) -> Spread:
        return spread(self.times[name])

    def ratio(self, name: str, base: str) -> Spread:
        """Of `name` over `base`: the median and quartiles of the ratios of the rounds."""
        return ratio(self.times[name], self.times[base])


def measure(
    calls: Mapping[str, Call], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> Measurement:
    """Alternates the calls. If the ratio of the second to the first has quartiles further apart
    than NOISE_BOUND, that is repeated while it does not take too long, the least noisy run is kept,
    and marked if still noisy.
    """
    first, second = (list(calls) * 2)[:2]

    def noise(run: Run) -> float:
        times = run.times
        alone = len(calls) == 1
        return (spread(times[first]) if alone else ratio(times[second], times[first])).noise

    start = clock()
    best = alternate(calls, seconds, clock)
    repeats = 0
    while noise(best) > NOISE_BOUND and repeats < REPEATS and clock() - start < 3 * seconds:
        repeats += 1
        best = min(best, alternate(calls, seconds / 2, clock), key=noise)
    faults = {name: statistics.median(seen) for name, seen in best.faults.items()}
    return Measurement(best.times, faults, repeats, noise(best) > NOISE_BOUND)
