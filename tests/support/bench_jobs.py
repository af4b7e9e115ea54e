"""Tiny jobs and invented peaks for the tests of the benchmarks."""

from cases import ConvCase, PoolCase

from benchmarks.harness import cases, plan

PEAKS = {
    "threads": 2,
    "matmul": 1e11,
    "fma": {"float32": 1e11},
    "copy": [[2**16, 4e10], [2**20, 2e10], [2**28, 1e10]],
}

TINY = [
    ConvCase("conv", 2, 5, 9, 9, 7, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("grouped, strided", 3, 8, 9, 9, 16, 3, 3, (2, 2), (1, 1, 1, 1), groups=4),
    ConvCase("wide", 2, 40, 6, 6, 30, 3, 3),
    PoolCase("max", 2, 3, 9, 9, (3, 3), (2, 2), (1, 1)),
    PoolCase("average", 2, 3, 8, 8, (2, 2), (2, 2), average=True),
    cases.AdaptiveCase("adaptive", 2, 3, 7, 7, (1, 1)),
    cases.AdaptiveCase("adaptive 2", 2, 3, 7, 7, (2, 2)),
]


def job_of(case: cases.Case, direction: str, names=("eager",), dtype="float32") -> dict:
    """The job of one row, as the plan makes it."""
    stage = plan.Stage("layers", 2, "default", 1, [])
    return plan.layer_jobs(stage, [case], [direction], names, [dtype]).jobs[0]
