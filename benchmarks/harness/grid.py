"""Random convolutions of every kind, from a seed: what the choice between paths is measured on.

The seed FITTED makes the layers that the constants of csrc/cpu/paths/costs.h were fitted to, the
seed JUDGED those that the choice is judged by. No layer is in both.
"""

import random
from collections.abc import Callable
from math import exp, log

from cases import ConvCase

from benchmarks.harness.cases import forward_flop

FITTED, JUDGED = 1, 3
LEAST_FLOP, MOST_FLOP = 4e5, 2e8  # of a forward pass
MOST_ELEMENTS = 4_000_000  # of x, of y
CHANNELS = (8, 12, 16, 20, 24, 32, 40, 48, 64, 72, 96, 120, 128, 160, 192, 256, 320, 384, 512)
MAPS = (5, 6, 7, 8, 9, 10, 13, 14, 17, 20, 24, 28, 32, 35, 40, 56, 64, 75, 80, 112)
BATCHES = (1, 1, 2, 4, 8, 16, 32, 64)
ONE_IMAGE = 1 / 4  # at least, of each kind


def _layer(
    r: random.Random,
    IC: int,
    extent: int,
    OC: int,
    kernel: tuple[int, int],
    stride: int = 1,
    padding: tuple[int, int] | None = None,
    dilation: int = 1,
    groups: int = 1,
) -> ConvCase:
    """With padding that keeps the map, unless told otherwise; sometimes without."""
    KH, KW = kernel
    if padding is None:
        padding = (dilation * (KH // 2), dilation * (KW // 2))
        if r.random() < 0.1:
            padding = (0, 0)
    (top, left), N = padding, 1 if r.random() < ONE_IMAGE else r.choice(BATCHES)
    IW = extent if r.random() < 0.8 else max(1, extent + r.randint(-extent // 3, extent // 2))
    pad, pair = (top, top, left, left), (stride, stride)
    return ConvCase("", N, IC, extent, IW, OC, KH, KW, pair, pad, (dilation, dilation), groups)


def _pair(r: random.Random) -> tuple[int, int]:
    """Channels in and out: often equal, or a small multiple."""
    C = r.choice(CHANNELS)
    M = r.choice((C, C, 2 * C, 4 * C, r.choice(CHANNELS), r.choice(CHANNELS)))
    return (C, min(M, 1024)) if r.random() < 0.7 else (min(M, 1024), C)


def _square(K: int, stride: int = 1) -> Callable[[random.Random], ConvCase]:
    return lambda r: _layer(r, (p := _pair(r))[0], r.choice(MAPS), p[1], (K, K), stride)


def _bar(r: random.Random) -> ConvCase:
    kernel = r.choice(((1, 7), (7, 1), (1, 3), (3, 1), (1, 5), (5, 1)))
    return _layer(r, (p := _pair(r))[0], r.choice(MAPS), p[1], kernel)


def _few_channels(r: random.Random) -> ConvCase:
    C, M = r.choice((1, 2, 3, 4, 6, 8, 12)), r.choice((4, 6, 8, 12, 16, 32))
    return _layer(r, *r.choice(((C, r.choice(MAPS), M), (M, r.choice(MAPS), C))), (3, 3))


def _stem(r: random.Random) -> ConvCase:
    K, stride = r.choice(
        ((3, 1), (3, 2), (5, 1), (5, 2), (7, 2), (11, 4), (4, 4), (8, 8), (16, 16))
    )
    padding = (0, 0) if stride == K else None
    extent = r.choice((28, 32, 48, 64, 96, 112, 160, 224))
    return _layer(r, r.choice((1, 3, 3, 3, 4)), extent, r.choice((6, 16, 24, 32, 64, 96)), (K, K),
                  stride, padding)  # fmt: skip


def _small_map(r: random.Random) -> ConvCase:
    K, stride = r.choice(((3, 1), (3, 1), (3, 2), (1, 1), (1, 2)))
    case = _layer(r, (p := _pair(r))[0], r.choice((1, 2, 2, 3, 4, 4)), p[1], (K, K), stride)
    return case._replace(IW=case.IH, padding=(K // 2,) * 4, N=r.choice((1, 4, 8, 16, 32, 64, 128)))


def _depthwise(r: random.Random) -> ConvCase:
    C, (K, stride) = r.choice(CHANNELS), r.choice(((3, 1), (3, 2), (5, 1), (5, 2), (7, 1)))
    M = r.choice((1, 1, 1, 1, 2, 3))
    return _layer(r, C, r.choice(MAPS), C * M, (K, K), stride, groups=C)


def _grouped(r: random.Random) -> ConvCase:
    C, groups = r.choice((2, 4, 4, 8, 8, 16, 16, 32)), r.choice((2, 4, 8, 16, 32))
    K, stride = r.choice(((3, 1), (3, 1), (3, 2), (1, 1), (5, 1)))
    M = r.choice((C, C, C, 2 * C))
    return _layer(r, C * groups, r.choice(MAPS), M * groups, (K, K), stride, groups=groups)


def _dilated(r: random.Random) -> ConvCase:
    C, M = _pair(r)
    return _layer(r, C, r.choice(MAPS), M, (3, 3), dilation=r.choice((2, 2, 3, 4, 6, 12)))


def _transposed(r: random.Random) -> ConvCase:
    """What the gradients of transposed layers are, and what downsamples in ConvNeXt."""
    K, padding = r.choice(((2, 0), (4, 1), (3, 1)))
    return _layer(r, (p := _pair(r))[0], r.choice(MAPS), p[1], (K, K), 2, (padding, padding))


def _large(r: random.Random) -> ConvCase:
    K, few = r.choice((7, 9, 11, 13, 17, 25, 31)), r.random() < 0.5
    stride, C = r.choice((1, 1, 2, 3)), r.choice((1, 3, 8, 16)) if few else r.choice((16, 32, 64))
    groups = 1 if few else C
    return _layer(r, C, r.choice((14, 28, 32, 56, 64, 96)), C if not few else r.choice((8, 16, 32)),
                  (K, K), stride, groups=groups)  # fmt: skip


KINDS: dict[str, Callable[[random.Random], ConvCase]] = {
    "1x1": _square(1),
    "1x1 stride 2": _square(1, 2),
    "3x3, few channels": _few_channels,
    "3x3": _square(3),
    "3x3 stride 2": _square(3, 2),
    "5x5": _square(5),
    "1x7, 1x3": _bar,
    "first layers": _stem,
    "maps of 4x4 to 1x1": _small_map,
    "depthwise": _depthwise,
    "grouped": _grouped,
    "dilated": _dilated,
    "2x2, 4x4 stride 2": _transposed,
    "large filters": _large,
}


def _fits(case: ConvCase, flop: float) -> bool:
    N, OC, OH, OW = case.output_size
    largest = max(N * OC * OH * OW, N * case.IC * case.IH * case.IW)
    return min(OH, OW) >= 1 and flop / 4 <= forward_flop(case) <= flop and largest <= MOST_ELEMENTS


def layers(seed: int, of_each: int) -> list[tuple[str, ConvCase]]:
    """`of_each` layers of every kind, spread evenly over the logarithm of their cost."""
    made, seen = [], set()
    for kind, make in KINDS.items():
        r = random.Random(f"{seed} {kind}")
        for i in range(of_each):
            share = (i + r.random()) / of_each
            flop = exp(log(LEAST_FLOP * 4) + share * log(MOST_FLOP / (LEAST_FLOP * 4)))
            case = make(r)
            while not _fits(case, flop) or case in seen:
                case = make(r)
            seen.add(case)
            made.append((kind, case))
    return made
