"""Error bounds for sums of products, from the arithmetic alone."""

import torch


def dot_bound(terms: int, magnitude: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """How far a sum of `terms` products may be from the exact one, in any order, with `dtype`
    arithmetic.

    `magnitude` is the same sum over absolute values. Higham, "Accuracy and Stability of Numerical
    Algorithms", section 3.1: |error| <= gamma(n) * magnitude, gamma(n) = n u / (1 - n u), for n
    roundings one after another; u = eps / 2. Two more roundings store the result and the reference.
    """
    n = (terms + 2) * torch.finfo(dtype).eps / 2
    return n / (1 - n) * magnitude
