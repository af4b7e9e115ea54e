"""The clock: statistics, rounds, noise."""

import pytest

from benchmarks.harness import timing
from fastconv import clock as clock_of_fastconv


class Clock:
    """Seconds that pass only when a call says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def call(self, *durations: float, runtime: str = "openmp") -> timing.Call:
        """A call that takes the durations in turn, over and over."""
        state = {"calls": 0}

        def run() -> None:
            self.now += durations[state["calls"] % len(durations)]
            state["calls"] += 1

        return timing.Call(run, runtime)


def test_spread_is_the_median_and_its_quartiles():
    assert timing.spread([4, 1, 3, 2, 5]) == (3, 2, 4)
    assert timing.spread([4, 1, 3, 2, 5]).noise == pytest.approx(2 / 3)


def test_ratio_is_taken_round_by_round():
    """A machine that is ten times slower in one round does not change the ratio."""
    assert timing.ratio([2, 20, 2], [1, 10, 1]) == (2, 2, 2)


def test_measure_finds_the_ratio_and_stops_in_time():
    clock = Clock()
    calls = {"a": clock.call(0.01), "b": clock.call(0.03)}
    measured = timing.measure(calls, 1.0, clock)
    assert measured.ratio("b", "a").median == pytest.approx(3)
    assert measured.seconds("a").median == pytest.approx(0.01)
    assert not measured.noisy and measured.repeats == 0
    assert len(measured.times["a"]) == len(measured.times["b"])
    assert clock.now < 1.5


def test_measure_repeats_and_marks_noise():
    clock = Clock()
    calls = {"a": clock.call(0.01), "b": clock.call(0.01, 0.01, 0.05)}
    measured = timing.measure(calls, 0.5, clock)
    assert measured.noisy and measured.repeats == timing.REPEATS


def test_slow_calls_get_fewer_rounds_but_three():
    clock = Clock()
    measured = timing.measure({"a": clock.call(10), "b": clock.call(10)}, 0.5, clock)
    assert len(measured.times["a"]) == clock_of_fastconv.FEWEST_ROUNDS


def test_short_calls_are_sampled_many_times():
    clock, count = Clock(), 0
    quick = clock.call(1e-5)

    def run() -> None:
        nonlocal count
        count += 1
        quick.run()

    measured = timing.measure({"a": timing.Call(run)}, 0.01, clock)
    assert measured.seconds("a").median == pytest.approx(1e-5)
    assert count > 40 * clock_of_fastconv.LEAST_ROUNDS
