"""Winograd's matrices from its points, in exact arithmetic, and error bounds from the matrices."""

from fractions import Fraction

import torch
import torch.nn.functional as F

POINTS = [Fraction(0), Fraction(5, 8), Fraction(-5, 8), Fraction(3, 2), Fraction(-3, 2), None]


def product(roots: list[Fraction]) -> list[Fraction]:
    """Coefficients, lowest first, of the product of (x - root)."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        scaled = [-root * c for c in coefficients] + [Fraction(0)]
        coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def others(p: Fraction | None) -> list[Fraction]:
    return [q for q in POINTS if q is not None and q != p]


def evaluate(n: int) -> list[list[Fraction]]:
    """6 x n: the value of a polynomial of n coefficients at each point; None is infinity."""
    last = [Fraction(i == n - 1) for i in range(n)]
    return [last if p is None else [p**i for i in range(n)] for p in POINTS]


def scale(p: Fraction | None) -> Fraction:
    """1 / N(p)"""
    n = Fraction(1)
    for q in others(p) if p is not None else []:
        n *= p - q
    return 1 / n


def input_matrix() -> list[list[Fraction]]:
    """B^T, 6 x 6"""
    return [(product(others(p)) + [Fraction(0)] * 6)[:6] for p in POINTS]


def filter_matrix(k: int) -> list[list[Fraction]]:
    """G, 6 x K"""
    return [[scale(p) * v for v in row] for p, row in zip(POINTS, evaluate(k), strict=True)]


def transposed(m: list[list[Fraction]]) -> list[list[Fraction]]:
    return [list(column) for column in zip(*m, strict=True)]


def tensor(m: list[list[Fraction]]) -> torch.Tensor:
    return torch.tensor([[float(v) for v in row] for row in m], dtype=torch.float64)


class Magnitudes:
    """Winograd over absolute values: what the roundings of each output are relative to."""

    def __init__(self, case):
        self.case, self.K = case, case.KH
        self.out = 7 - self.K
        self.B = tensor(input_matrix()).abs()
        self.G = tensor(filter_matrix(self.K)).abs()
        self.A = tensor(evaluate(self.out)).abs()

    def _tiles(self, x: torch.Tensor, top: int, left: int, size: tuple, tile: int) -> torch.Tensor:
        """(N, C, H, W) as (N, C, tile rows, tile columns, tile, tile), zero outside, for `size`
        outputs of which the first looks at (-top, -left)."""
        rows, columns = (-(-s // self.out) for s in size)
        height, width = ((t - 1) * self.out + tile for t in (rows, columns))
        x = F.pad(x, (left, width - left - x.shape[3], top, height - top - x.shape[2]))
        return x.unfold(2, tile, self.out).unfold(3, tile, self.out)

    def _grouped(self, t: torch.Tensor, dim: int) -> torch.Tensor:
        return t.unflatten(dim, (self.case.groups, -1))

    def correlation(self, x, w, top, left, size) -> torch.Tensor:
        """Of x (N, C, ...) with filters w (M, C / groups, K, K), size: of the output."""
        v = self.B @ self._tiles(x, top, left, size, 6) @ self.B.T
        u = self.G @ w @ self.G.T
        m = torch.einsum(
            "ngcthij,gmcij->ngmthij", self._grouped(v, 1), self._grouped(u, 0)
        ).flatten(1, 2)
        y = self.A.T @ m @ self.A
        return y.transpose(3, 4).flatten(2, 3).flatten(3, 4)[:, :, : size[0], : size[1]]

    def forward(self, x, w, size) -> torch.Tensor:
        return self.correlation(x, w, self.case.padding[0], self.case.padding[2], size)

    def backward_input(self, grad_y, w) -> torch.Tensor:
        turned = self._grouped(w, 0).transpose(1, 2).flatten(0, 1).flip(2, 3)
        top, left = (self.K - 1 - self.case.padding[i] for i in (0, 2))
        return self.correlation(grad_y, turned, top, left, (self.case.IH, self.case.IW))

    def backward_weight(self, grad_y, x) -> torch.Tensor:
        size = grad_y.shape[2:]
        v = self.B @ self._tiles(x, self.case.padding[0], self.case.padding[2], size, 6) @ self.B.T
        m = self.A @ self._tiles(grad_y, 0, 0, size, self.out) @ self.A.T
        u = torch.einsum("ngcthij,ngmthij->gmcij", self._grouped(v, 1), self._grouped(m, 1))
        return (self.G.T @ u @ self.G).flatten(0, 1)

    def roundings(self, terms: int) -> int:
        """On the way of one value: two 1-D transforms of each kind, each of at most L products by
        rounded coefficients and L + 1 additions, L its longest row, and a sum of `terms` products,
        made of parts that are added."""
        return 2 * sum(3 * length + 1 for length in (4, self.K, 6)) + 2 * terms + 2
