"""torch in float64 as the reference, and how far from it a result may be: derived, not tuned."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

F = torch.nn.functional
WINOGRAD = 4
Size = TypeVar("Size", float, Tensor)


def dot_bound(terms: int, magnitude: Size, dtype: torch.dtype) -> Size:
    """How far a sum of `terms` products may be from the exact one, in any order, with `dtype`
    arithmetic.

    `magnitude` is the same sum over absolute values. Higham, "Accuracy and Stability of Numerical
    Algorithms", section 3.1: |error| <= gamma(n) * magnitude, gamma(n) = n u / (1 - n u), for n
    roundings one after another; u = eps / 2. Two more roundings store the result and the reference.
    """
    n = (terms + 2) * torch.finfo(dtype).eps / 2
    return n / (1 - n) * magnitude


def magnitude(t: Tensor) -> float:
    return t.abs().max().item() if t.numel() else 0.0


def gradients(function: Callable, grad_y: Tensor, *tensors: Tensor | None) -> list[Tensor | None]:
    """[y, gradient of each tensor] of function(*tensors); None stays None, strides are kept."""
    leaves = [None if t is None else t.detach().requires_grad_() for t in tensors]
    y = function(*leaves)
    wanted = [t for t in leaves if t is not None]
    found = iter(torch.autograd.grad(y, wanted, grad_y))
    return [y.detach(), *(None if t is None else next(found) for t in leaves)]


def _double(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if t is None else t.detach().double() for t in tensors]


def conv2d_reference(x, w, bias, grad_y, **kwargs) -> list[Tensor | None]:
    """[y, grad_x, grad_w, grad_bias] by torch, in float64."""
    return gradients(lambda *t: F.conv2d(*t, **kwargs), grad_y.double(), *_double(x, w, bias))


def conv2d_bounds(x, w, bias, grad_y, dtype: torch.dtype, **kwargs) -> list[float]:
    """How far [y, grad_x, grad_w, grad_bias] computed in `dtype` may be from exact ones.

    By any path: WINOGRAD times the bound of plain sums, as its transforms round and magnify.
    test_winograd.py has the bound of that arithmetic, element by element.
    """
    sizes = [None if t is None else t.abs() for t in _double(x, w, bias)]
    of_absolutes = gradients(lambda *t: F.conv2d(*t, **kwargs), grad_y.double().abs(), *sizes)
    oc, group_ic, kh, kw = w.shape
    outputs = grad_y.numel() // oc  # summed by each gradient of the parameters
    terms = [group_ic * kh * kw + 1, oc // kwargs.get("groups", 1) * kh * kw, outputs, outputs]
    return [
        0.0 if t is None else WINOGRAD * dot_bound(n, magnitude(t), dtype)
        for n, t in zip(terms, of_absolutes, strict=True)
    ]


def assert_within(got: Tensor | None, want: Tensor | None, limit: float, what: str = "") -> None:
    """`got` has the size of `want` and is nowhere further from it than `limit`; NaNs never pass."""
    if want is None:
        assert got is None, what
        return
    assert got is not None and got.shape == want.shape, f"{what}: {got} for {want.shape}"
    if want.numel():
        furthest = (got.double() - want.double()).abs().max().item()
        assert furthest <= limit, f"{what}: off by {furthest:.3g}, allowed {limit:.3g}"


def assert_all_equal(got: object, want: object) -> None:
    """Two trees of tensors, such as lists of them, are equal to the last bit, and in type."""
    got, want = torch.utils._pytree.tree_leaves(got), torch.utils._pytree.tree_leaves(want)
    assert len(got) == len(want)
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        assert a.shape == b.shape and a.dtype is b.dtype, i
        assert torch.equal(a, b), f"{i}: off by {(a - b).abs().max()}"


def assert_rounded_once(got: Tensor, exact: Tensor, limit: float, what: str = "") -> None:
    """`got` is, in its short type, the nearest to a value within `limit` of `exact`."""
    info = torch.finfo(got.dtype)
    assert got.shape == exact.shape, what
    half_ulp = info.eps / 2 * (exact.abs() + limit) + info.smallest_normal * info.eps / 2
    excess = ((got.double() - exact).abs() - half_ulp - limit).max().item() if got.numel() else 0
    assert excess <= 0, f"{what}: {excess:.3g} beyond rounding once"


def check_conv2d(function: Callable, x, w, bias=None, *, grad_y=None, what="", **kwargs) -> list:
    """Our [y, grad_x, grad_w, grad_bias], once they are close to torch's in float64."""
    if grad_y is None:
        size = F.conv2d(*_double(x, w, bias), **kwargs).shape
        generator = torch.Generator().manual_seed(7)
        grad_y = torch.randn(size, generator=generator, dtype=torch.float64).to(x.dtype)
    got = gradients(lambda *t: function(*t, **kwargs), grad_y, x, w, bias)
    want = conv2d_reference(x, w, bias, grad_y, **kwargs)
    limits = conv2d_bounds(x, w, bias, grad_y, x.dtype, **kwargs)
    names = ("output", "grad_input", "grad_weight", "grad_bias")
    for name, g, reference, limit in zip(names, got, want, limits, strict=True):
        assert g is None or g.dtype is x.dtype, f"{what} {name}: {g.dtype}"
        assert_within(g, reference, limit, f"{what} {name}")
    return got
