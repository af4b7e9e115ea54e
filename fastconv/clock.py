"""The clock of explain(measure=True) and of the benchmarks. It times several ways of doing one
thing alternately in one process: ratios are less noisy than times, because a busy neighbour slows
all sides alike. Layer: public, over nothing.
"""

import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

WARM_UPS = 3  # glibc's heap needs some to have room for large outputs
LONG_CALL_SECONDS = 0.25  # warmed up by one
SAMPLE_SECONDS = 5e-4  # a sample calls so often that it lasts about so long
LONGEST_SAMPLE = 20 * SAMPLE_SECONDS  # of several calls, if they turn out slower than thought
LEAST_ROUNDS, MOST_ROUNDS = 5, 60
FEWEST_ROUNDS = 3  # where LEAST_ROUNDS would take several times the seconds that are given
REST_SECONDS = 0.01  # for the threads of another runtime to stop spinning


class Call(NamedTuple):
    """Something to time. `runtime` names who owns the threads that compute it."""

    run: Callable[[], object]
    runtime: str = "openmp"


class Spread(NamedTuple):
    """The median and the quartiles around it."""

    median: float
    low: float
    high: float

    @property
    def noise(self) -> float:
        """Distance of the quartiles as a share of the median."""
        return (self.high - self.low) / self.median


def spread(values: Sequence[float]) -> Spread:
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratio(times: Sequence[float], base: Sequence[float]) -> Spread:
    return spread([a / b for a, b in zip(times, base, strict=True)])


class Run(NamedTuple):
    """What alternate() saw, round by round."""

    times: dict[str, list[float]]
    faults: dict[str, list[float]]


def _sample(call: Call, count: int, clock: Callable[[], float]) -> tuple[float, float]:
    """Seconds and page faults per call over `count` calls.

    What a call returns is freed within its own time.
    """
    run = call.run
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    start = clock()
    run()
    done = 1
    while done < count and clock() - start < LONGEST_SAMPLE:
        run()
        done += 1
    seconds = clock() - start
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    return seconds / done, faults / done


def _warm_up(call: Call, clock: Callable[[], float]) -> list[float]:
    """Seconds of each untimed call: WARM_UPS of them, or one that takes long."""
    times = [_sample(call, 1, clock)[0]]
    while len(times) < WARM_UPS and times[0] < LONG_CALL_SECONDS:
        times.append(_sample(call, 1, clock)[0])
    return times


def alternate(
    calls: Mapping[str, Call], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> Run:
    """Runs all calls in turn, round after round, for about `seconds`; every other round backwards.

    Warm-up calls come first. Where the thread pool changes hands, the former one gets time to fall
    asleep and the next one an untimed call to wake.
    """
    counts = {}
    for name, call in calls.items():
        once = min(_warm_up(call, clock))
        counts[name] = max(1, min(1000, int(SAMPLE_SECONDS / max(once, 1e-7))))
    seen = Run({name: [] for name in calls}, {name: [] for name in calls})
    order, runtime, start = list(calls), None, clock()
    for done in range(MOST_ROUNDS):
        spent = clock() - start
        if done >= FEWEST_ROUNDS and spent > seconds * (1 if done >= LEAST_ROUNDS else 4):
            break
        for name in order:
            if runtime not in (None, calls[name].runtime):
                time.sleep(REST_SECONDS)
                calls[name].run()
            runtime = calls[name].runtime
            taken, faults = _sample(calls[name], counts[name], clock)
            seen.times[name].append(taken)
            seen.faults[name].append(faults)
        order.reverse()
    return seen
