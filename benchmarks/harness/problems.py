"""One layer with numbers in it: its tensors, what it costs, and samples of its exact results.

Directions: forward, backward_input, backward_weight (convolutions only), and autograd, which is
forward and backward through torch's engine, all gradients.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness.cases import AdaptiveCase, Case, ConvCase, PoolCase

CONV_DIRECTIONS = ("forward", "backward_input", "backward_weight", "autograd")
POOL_DIRECTIONS = ("forward", "backward_input", "autograd")
SAMPLED = 6  # channels of a large layer whose exact results are computed
SAMPLED_IMAGES = 2
WINOGRAD_POINTS = 6  # of a tile, along each axis


class Check(NamedTuple):
    """What part of a result must be, and how far rounding may take it from that."""

    part: Callable[[Tensor], Tensor]
    exact: Tensor
    bound: Tensor


def rounding_bound(terms: int, magnitude: Tensor, dtype: torch.dtype) -> Tensor:
    """How far a sum of `terms` products may be from the exact one, all but surely.

    8 sqrt(n) u * magnitude, `magnitude` being the sum of absolute values and u = eps / 2: Higham
    and Mary, "A new approach to probabilistic rounding error analysis", 2019. The bound that is
    sure, with n for sqrt(n), would let a missing channel of a wide layer pass.
    """
    return 8 * math.sqrt(terms + 2) * torch.finfo(dtype).eps / 2 * magnitude


def _evenly(extent: int, most: int) -> list[int]:
    """First, last and between, at most so many."""
    return sorted({round(i) for i in torch.linspace(0, extent - 1, min(extent, most)).tolist()})


def _taps(extent: int, out: int, kernel: int, stride: int, before: int, dilation: int) -> int:
    """Pairs of output and filter positions along one axis that meet a real pixel."""
    pixels = (o * stride + k * dilation - before for o in range(out) for k in range(kernel))
    return sum(0 <= pixel < extent for pixel in pixels)


def of(case: Case, dtype: torch.dtype) -> "ConvProblem | PoolProblem":
    return (ConvProblem if isinstance(case, ConvCase) else PoolProblem)(case, dtype)


def product_flop(case: ConvCase, direction: str) -> int:
    """Additions and multiplications of Winograd's 36 matrix products: what it does beside its
    transforms. backward_weight has as many as forward. A dilated layer is many small images.
    """
    out = WINOGRAD_POINTS + 1 - case.KH
    extents = case.input_size[2:] if direction == "backward_input" else case.output_size[2:]
    tiles = case.N
    for extent, dilation in zip(extents, case.dilation, strict=True):
        of_image = -(-extent // dilation)
        tiles *= dilation * -(-of_image // out)
    return 2 * WINOGRAD_POINTS**2 * tiles * case.IC * case.OC // case.groups


def flop_done(case: Case, direction: str, path: str | None, counted: int) -> int:
    """Additions and multiplications that a path of fastconv does, of those that are counted."""
    by_winograd = path is not None and path.endswith("winograd")
    return product_flop(case, direction) if by_winograd else counted


class ConvProblem:
    """A convolution with bias."""

    directions = CONV_DIRECTIONS

    def __init__(self, case: ConvCase, dtype: torch.dtype) -> None:
        self.case, self.dtype = case, dtype
        self.pad = case.padding[0::2]  # torch's convolutions pad both sides alike
        if case.padding[0::2] != case.padding[1::2]:
            raise ValueError(f"{case.name}: padding {case.padding} is not the same on both sides")
        random = torch.Generator().manual_seed(0)
        self.x = torch.randn(case.input_size, generator=random, dtype=dtype)
        self.w = torch.randn(case.weight_size, generator=random, dtype=dtype)
        self.bias = torch.randn(case.OC, generator=random, dtype=dtype)
        self.grad_y = torch.randn(case.output_size, generator=random, dtype=dtype)
        self.args = (case.stride, self.pad, case.dilation, case.groups)

    def flop(self, direction: str) -> int:
        """Multiplications and additions, of products with real pixels only, not with padding."""
        case = self.case
        _, _, OH, OW = case.output_size
        rows = _taps(case.IH, OH, case.KH, case.stride[0], self.pad[0], case.dilation[0])
        columns = _taps(case.IW, OW, case.KW, case.stride[1], self.pad[1], case.dilation[1])
        once = 2 * case.N * case.OC * (case.IC // case.groups) * rows * columns
        return 3 * once if direction == "autograd" else once

    def bytes(self, direction: str) -> int:
        """Read or written if every tensor moves once; all three directions for autograd."""
        x, w, y = (t.numel() * t.element_size() for t in (self.x, self.w, self.grad_y))
        return (x + w + y) * (3 if direction == "autograd" else 1)

    def checks(self, direction: str) -> Iterator[Check]:
        """Of results in the order y; grad_x; grad_w, grad_bias; and for autograd the last three."""
        if direction == "autograd":
            yield from self.checks("backward_input")
            yield from self.checks("backward_weight")
            return
        case, groups = self.case, _evenly(self.case.groups, SAMPLED)
        OC, IC = case.OC // case.groups, case.IC // case.groups
        if case.groups == 1:
            oc, ic = _evenly(OC, SAMPLED), _evenly(IC, SAMPLED)
            all_oc, all_ic = slice(None), slice(None)
        else:
            oc = all_oc = [g * OC + i for g in groups for i in range(OC)]
            ic = all_ic = [g * IC + i for g in groups for i in range(IC)]
        n = _evenly(case.N, SAMPLED_IMAGES)
        x, w, grad_y, bias = (t.double() for t in (self.x, self.w, self.grad_y, self.bias))
        rest = (case.stride, self.pad, case.dilation, len(groups))
        taps = case.KH * case.KW
        if direction == "forward":
            given = (x[n][:, all_ic], w[oc], bias[oc])
            yield self._check(
                lambda y: y[n][:, oc], lambda a, b, c: F.conv2d(a, b, c, *rest), given, IC * taps
            )
        elif direction == "backward_input":
            ours = w[:, ic] if case.groups == 1 else w[oc]
            size = (len(n), len(ic), case.IH, case.IW)
            yield self._check(
                lambda grad_x: grad_x[n][:, ic],
                lambda a, b: torch.nn.grad.conv2d_input(size, a, b, *rest),
                (ours, grad_y[n][:, all_oc]),
                OC * taps,
            )
        else:
            inner = ic if case.groups == 1 else slice(None)
            size = (len(oc), len(ic) // len(groups), case.KH, case.KW)

            def grad_w(x: Tensor, grad_y: Tensor) -> Tensor:  # image by image: torch unrolls them
                pairs = zip(x.split(1), grad_y.split(1), strict=True)
                return sum(torch.nn.grad.conv2d_weight(a, size, b, *rest) for a, b in pairs)

            terms = grad_y[:, 0].numel()
            yield self._check(
                lambda grad_w: grad_w[oc][:, inner], grad_w, (x[:, ic], grad_y[:, oc]), terms
            )
            yield self._check(lambda b: b, lambda g: g.sum((0, 2, 3)), (grad_y,), terms)

    def _check(self, part: Callable, compute: Callable, given: tuple, terms: int) -> Check:
        magnitude = compute(*(t.abs() for t in given))
        return Check(part, compute(*given), rounding_bound(terms, magnitude, self.dtype))


class PoolProblem:
    """A max, average or adaptive average pooling."""

    directions = POOL_DIRECTIONS

    def __init__(self, case: PoolCase | AdaptiveCase, dtype: torch.dtype) -> None:
        self.case, self.dtype = case, dtype
        if isinstance(case, AdaptiveCase):
            self.kind, self.args = "adaptive_avg_pool2d", (case.output,)
            self.window = math.ceil(case.IH / case.output[0]) * math.ceil(case.IW / case.output[1])
        else:
            self.window = case.kernel[0] * case.kernel[1]
            window = (case.kernel, case.stride, case.padding)
            if case.average:
                self.kind = "avg_pool2d"
                more = (case.ceil_mode, case.count_include_pad, case.divisor_override)
                self.args = (*window, *more)
            else:
                self.kind = "max_pool2d"
                self.args = (*window, case.dilation, case.ceil_mode)
        random = torch.Generator().manual_seed(0)
        self.x = torch.randn(case.input_size, generator=random, dtype=dtype)
        y = getattr(F, self.kind)(self.x, *self.args)
        self.grad_y = torch.randn(y.shape, generator=random, dtype=dtype)

    def flop(self, direction: str) -> int:
        """One addition or comparison for each pixel of each window."""
        return self.grad_y.numel() * self.window * (2 if direction == "autograd" else 1)

    def bytes(self, direction: str) -> int:
        """Read or written if input and output, or their gradients, move once."""
        once = (self.x.numel() + self.grad_y.numel()) * self.x.element_size()
        return once * (2 if direction == "autograd" else 1)

    def checks(self, direction: str) -> Iterator[Check]:
        """Of y, or of grad_x."""
        n = _evenly(self.case.N, SAMPLED_IMAGES)
        x = self.x[n].double().requires_grad_()
        y, magnitude = self._run(x), self._run(x.detach().abs())
        if direction == "forward":
            exact, terms = y.detach(), self.window
            if self.kind == "max_pool2d":
                terms, magnitude = 0, torch.zeros_like(y)
        else:
            grad_y = self.grad_y[n].double()
            (exact,) = torch.autograd.grad(y, x, grad_y, retain_graph=True)
            (magnitude,) = torch.autograd.grad(y, x, grad_y.abs())
            terms = self.window
        yield Check(lambda t: t[n], exact, rounding_bound(terms, magnitude, self.dtype))

    def _run(self, x: Tensor) -> Tensor:
        return getattr(F, self.kind)(x, *self.args)
