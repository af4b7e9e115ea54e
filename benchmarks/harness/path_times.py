"""The time of every path of fastconv that supports a layer, beside the path that is chosen."""

import statistics
import time
from collections.abc import Callable
from functools import lru_cache

import torch

from benchmarks import peers
from benchmarks.harness.cases import ConvCase
from benchmarks.harness.problems import ConvProblem
from fastconv.core import ops
from fastconv.core.extension import _C

LEAST_ROUNDS, MOST_ROUNDS = 3, 9
SAMPLE_SECONDS = 3e-4  # a sample calls so often that it lasts about so long
CLEAR = 1.25  # a path that takes so many times as long as the fastest needs no more rounds
HOPELESS = 3.0  # nor is it measured again at all
PLAIN = ("tiny", "reference")  # the loop nests: below all others, or with nothing beside them


@lru_cache(maxsize=1)  # the cells of a layer come one after another
def _problem(case: ConvCase, dtype: torch.dtype) -> ConvProblem:
    return ConvProblem(case, dtype)


def answers(case: ConvCase, direction: str, channels_last: bool, dtype: torch.dtype) -> list:
    """What every path says of a cell (csrc/runtime/conv2d.h)."""
    shape = peers.kernel_shape(case, channels_last)
    return _C.conv2d_explain(direction, ops.KERNEL_DTYPES[dtype], shape)


def chosen(told: list) -> str:
    """The path that runs a cell."""
    return next(answer.name for answer in told if answer.chosen)


def measure_paths(
    case: ConvCase,
    direction: str,
    channels_last: bool,
    dtype: torch.dtype,
    threads: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict:
    """Seconds of each path, and how many times as long as the fastest it takes: medians.

    Returns:
        {"seconds": {path: s}, "ratios": {path: ratio}, "rounds": n}; {} where one path alone runs.
    """
    told = answers(case, direction, channels_last, dtype)
    names = [a.name for a in told if a.supported and a.name not in PLAIN]
    if chosen(told) in PLAIN or len(names) < 2:
        return {}
    problem = _problem(case, dtype)
    calls = {name: peers.kernel(problem, direction, name, threads, channels_last)
             for name in names}  # fmt: skip
    counts = {}
    for name, call in calls.items():
        call()
        counts[name] = max(1, int(SAMPLE_SECONDS / max(_sample(call, 1, clock), 1e-7)))
    rounds: list[dict[str, float]] = []
    order = list(calls)
    while len(rounds) < MOST_ROUNDS:
        rounds.append({name: _sample(calls[name], counts[name], clock) for name in order})
        best = min(rounds[-1].values())
        if len(rounds) > 1:
            order = [name for name in order if rounds[-1][name] < HOPELESS * best]
        order.reverse()
        if len(rounds) >= LEAST_ROUNDS and _is_clear(rounds):
            break
    full = [taken for taken in rounds if set(taken) == set(rounds[-1])]
    fastest = min(rounds[-1], key=lambda name: statistics.median(r[name] for r in full))
    seconds, ratios = {}, {}
    for name in names:
        timed = [taken for taken in rounds if name in taken]
        seconds[name] = statistics.median(taken[name] for taken in timed)
        ratios[name] = statistics.median(taken[name] / taken[fastest] for taken in timed)
    least = min(ratios.values())  # near a tie, medians of ratios and of times may disagree
    ratios = {name: ratio / least for name, ratio in ratios.items()}
    return {"seconds": seconds, "ratios": ratios, "rounds": len(rounds)}


def _is_clear(rounds: list[dict[str, float]]) -> bool:
    """Whether one path was faster than all others in every round so far, and by far."""
    firsts = {min(taken, key=taken.get) for taken in rounds}
    if len(firsts) > 1:
        return False
    first = firsts.pop()
    others = (r[name] / r[first] for r in rounds for name in r if name != first)
    return min(others, default=CLEAR) >= CLEAR


def _sample(call: Callable[[], object], count: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(count):
        call()
    return (clock() - start) / count
