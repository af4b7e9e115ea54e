"""Named shapes, shared by tests and benchmarks: one list of cases for every kernel of conv2d and of
the pools."""

from typing import NamedTuple


class ConvCase(NamedTuple):
    """Extents of one convolution; padding is (top, bottom, left, right)."""

    name: str
    N: int
    IC: int
    IH: int
    IW: int
    OC: int
    KH: int
    KW: int
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def input_size(self) -> tuple[int, int, int, int]:
        return self.N, self.IC, self.IH, self.IW

    @property
    def weight_size(self) -> tuple[int, int, int, int]:
        return self.OC, self.IC // self.groups, self.KH, self.KW


class PoolCase(NamedTuple):
    """Extents of one pooling."""

    name: str
    N: int
    C: int
    IH: int
    IW: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    @property
    def input_size(self) -> tuple[int, int, int, int]:
        return self.N, self.C, self.IH, self.IW


def _same(pad: int) -> tuple[int, int, int, int]:
    return pad, pad, pad, pad


# The layers that the nets of this package train most, batch 64.
NET_LAYERS = [
    ConvCase("lenet.c1", 64, 1, 32, 32, 6, 3, 3),
    ConvCase("lenet.c2", 64, 6, 15, 15, 16, 3, 3),
    ConvCase("lenet5.c1", 64, 1, 32, 32, 6, 5, 5),
    ConvCase("lenet5.c2", 64, 6, 14, 14, 16, 5, 5),
    ConvCase("mnist_cnn.c1", 64, 1, 28, 28, 20, 5, 5),
    ConvCase("mnist_cnn.c2", 64, 20, 12, 12, 50, 5, 5),
    ConvCase("cifar_net.c1", 64, 3, 32, 32, 16, 3, 3, padding=_same(1)),
    ConvCase("cifar_net.c2", 64, 16, 16, 16, 8, 3, 3, padding=_same(1)),
]

NET_POOLS = [
    PoolCase("64x6x28 k2", 64, 6, 28, 28, (2, 2), (2, 2)),
    PoolCase("64x16x32 k2", 64, 16, 32, 32, (2, 2), (2, 2)),
    PoolCase("4x256x56 k2", 4, 256, 56, 56, (2, 2), (2, 2)),
    PoolCase("4x64x224 k2", 4, 64, 224, 224, (2, 2), (2, 2)),
    PoolCase("8x64x112 k3 s2 p1", 8, 64, 112, 112, (3, 3), (2, 2), (1, 1)),
    PoolCase("8x512x14 k2", 8, 512, 14, 14, (2, 2), (2, 2)),
]

# Small, and chosen so that each boundary of the tiles is crossed: rows of 15, 16, 17 pixels, 1 to
# 49 channels, prime extents, bands of more than one row, and every geometry that convolution has.
CONV_CASES = [
    ConvCase("one pixel", 1, 1, 1, 1, 1, 1, 1),
    ConvCase("rows of 7, 7 channels", 2, 3, 9, 9, 7, 3, 3),
    ConvCase("rows of 15, 15 channels", 1, 2, 17, 17, 15, 3, 3),
    ConvCase("rows of 16, 16 channels", 1, 3, 18, 18, 16, 3, 3),
    ConvCase("rows of 17, 17 channels", 1, 3, 19, 19, 17, 3, 3),
    ConvCase("rows of 31, 33 channels", 2, 5, 5, 33, 33, 3, 3),
    ConvCase("49 channels on short rows", 2, 20, 6, 6, 49, 3, 3),
    ConvCase("1x1", 2, 13, 7, 11, 9, 1, 1),
    ConvCase("1x1 on one pixel", 3, 13, 1, 1, 21, 1, 1),
    ConvCase("1xK and Kx1", 1, 4, 8, 13, 5, 1, 7, padding=(0, 0, 3, 3)),
    ConvCase("Kx1", 1, 4, 13, 8, 5, 7, 1, padding=(3, 3, 0, 0)),
    ConvCase("even kernel, four paddings", 2, 3, 10, 9, 6, 4, 2, padding=(1, 2, 0, 1)),
    ConvCase("padding wider than the kernel", 1, 2, 5, 5, 3, 2, 2, padding=(4, 5, 6, 3)),
    ConvCase("padded map of one row", 2, 3, 1, 5, 4, 3, 3, padding=_same(1)),
    ConvCase("stride 2", 2, 3, 17, 16, 8, 3, 3, (2, 2), _same(1)),
    ConvCase("stride 2, 1x1", 1, 6, 9, 9, 5, 1, 1, (2, 2)),
    ConvCase("stride 3 by 1, even kernel", 1, 3, 14, 11, 5, 2, 4, (3, 1), (0, 1, 2, 0)),
    ConvCase("stride 4, 11x11", 1, 3, 31, 29, 7, 11, 11, (4, 4), _same(2)),
    ConvCase("stride beyond the kernel", 1, 2, 13, 13, 3, 2, 2, (5, 4)),
    ConvCase("dilation 2 by 3", 1, 4, 13, 15, 6, 3, 3, padding=(2, 2, 3, 3), dilation=(2, 3)),
    ConvCase("stride 2 and dilation 2", 1, 3, 15, 15, 4, 3, 3, (2, 2), _same(2), (2, 2)),
    ConvCase("stride 2 and dilation 3", 1, 3, 15, 16, 4, 3, 3, (2, 2), _same(3), (3, 3)),
    ConvCase("stride 3 and dilation 2", 1, 2, 17, 15, 3, 3, 2, (3, 3), _same(1), (2, 2)),
    ConvCase("3 groups", 2, 6, 8, 8, 9, 3, 3, padding=_same(1), groups=3),
    ConvCase("depthwise", 2, 7, 9, 9, 7, 3, 3, padding=_same(1), groups=7),
    ConvCase("depthwise, two filters each", 1, 5, 8, 8, 10, 5, 5, (2, 2), _same(2), groups=5),
    ConvCase("bands of several rows", 1, 40, 45, 40, 9, 3, 3, padding=_same(1)),
    ConvCase("wide rows", 1, 2, 3, 301, 3, 3, 3, padding=_same(1)),
    ConvCase("no images", 0, 3, 8, 8, 4, 3, 3),
    ConvCase("no input channels", 2, 0, 8, 8, 4, 3, 3),
    ConvCase("large kernel", 1, 1, 20, 20, 2, 17, 19, padding=_same(8)),
]

POOL_CASES = [
    PoolCase("k2", 2, 3, 8, 10, (2, 2), (2, 2)),
    PoolCase("k2, odd extents", 2, 3, 9, 7, (2, 2), (2, 2)),
    PoolCase("k2, ceil_mode", 1, 3, 9, 7, (2, 2), (2, 2), ceil_mode=True),
    PoolCase("k3 s2 p1", 2, 5, 17, 33, (3, 3), (2, 2), (1, 1)),
    PoolCase("k3 s2 p1, ceil_mode", 1, 2, 16, 18, (3, 3), (2, 2), (1, 1), ceil_mode=True),
    PoolCase("k3 s1 p1", 1, 4, 7, 40, (3, 3), (1, 1), (1, 1)),
    PoolCase("k3 by 2, s1 by 3", 1, 4, 11, 13, (3, 2), (1, 3), (1, 1)),
    PoolCase("stride beyond the window", 1, 3, 13, 13, (2, 2), (3, 4)),
    PoolCase("whole plane", 3, 17, 5, 6, (5, 6), (5, 6)),
    PoolCase("window of more than 256", 2, 2, 21, 24, (17, 19), (2, 3), (8, 9)),
    PoolCase("one pixel windows", 1, 18, 4, 3, (1, 1), (1, 1)),
    PoolCase("divisor", 1, 3, 8, 8, (3, 3), (2, 2), (1, 1), divisor_override=-5),
    PoolCase("padding not counted", 1, 3, 8, 9, (3, 3), (2, 2), (1, 1), count_include_pad=False),
    PoolCase("ceil_mode, not counted", 1, 3, 8, 9, (3, 3), (2, 2), (1, 1), (1, 1), True, False),
    PoolCase("no images", 0, 3, 8, 8, (2, 2), (2, 2)),
]

DILATED_POOL_CASES = [
    PoolCase("dilation 2", 1, 3, 12, 13, (3, 3), (2, 1), (1, 1), (2, 2)),
    PoolCase("dilation 2 by 3", 2, 2, 14, 20, (2, 3), (2, 2), (1, 1), (2, 3), True),
]
