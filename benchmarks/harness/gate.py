"""Correctness before speed: a contender whose results are wrong is not timed."""

from collections.abc import Sequence

import torch

from benchmarks.harness.problems import Check
from benchmarks.peers import OURS, Contender

# Winograd multiplies transformed numbers, which loses a digit against direct sums (cf. Lavin and
# Gray, "Fast algorithms for convolutional neural networks", 2015). Peers do not say what they use.
OTHER_ALGORITHM = 16


def error(contender: Contender, checks: Sequence[Check], allowance: int) -> tuple[float, bool]:
    """Largest distance from float64 as a share of the largest exact number, and whether all results
    are within rounding of it, `allowance` times the bound of a plain sum: of its own sum if that is
    1, of the largest sum in its plane (or filter) otherwise.
    """
    results = contender.read(contender.call.run())
    if len(results) != len(checks):
        raise ValueError(f"{len(results)} results where {len(checks)} are expected")
    worst, right = 0.0, True
    for result, check in zip(results, checks, strict=True):
        got = check.part(result).double()
        if got.shape != check.exact.shape:
            return float("inf"), False
        distance = (got - check.exact).abs()
        bound = check.bound
        if allowance > 1 and bound.dim() == 4:  # transforms carry rounding from pixel to pixel
            bound = bound.amax((2, 3), keepdim=True)
        right = right and bool((distance <= allowance * bound).all())  # NaN is not <=
        share = distance.max() / check.exact.abs().max().clamp(min=torch.finfo(torch.double).tiny)
        worst = max(worst, share.nan_to_num(torch.inf).item())
    return worst, right


def allowance(peer: str, path: str | None) -> int:
    """How many times the bound of a plain sum: 1 for our direct kernels."""
    direct = peer.startswith(OURS) and "winograd" not in (path or "")
    return 1 if direct else OTHER_ALGORITHM
