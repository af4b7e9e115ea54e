"""What a peer is asked for: a call that computes one layer in one direction."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from benchmarks.harness.problems import ConvProblem, PoolProblem
from benchmarks.harness.timing import Call

OURS = "fastconv"
Problem = ConvProblem | PoolProblem


class Unavailable(Exception):
    """Why a peer cannot take part, in a few words."""


class Contender(NamedTuple):
    """A call, and how to read the tensors of its result in the order of Problem.checks."""

    call: Call
    read: Callable[[object], tuple[Tensor, ...]] = lambda result: (
        result if isinstance(result, tuple) else (result,)
    )
