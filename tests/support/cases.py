"""Named shapes, shared by tests and benchmarks: one list of cases for every kernel of conv2d and of
the pools. This file is plain data; benchmarks.net_layers lists the layers of the nets."""

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

    @property
    def output_size(self) -> tuple[int, int, int, int]:
        top, bottom, left, right = self.padding
        height = self.IH + top + bottom - self.dilation[0] * (self.KH - 1) - 1
        width = self.IW + left + right - self.dilation[1] * (self.KW - 1) - 1
        return self.N, self.OC, height // self.stride[0] + 1, width // self.stride[1] + 1


class PoolCase(NamedTuple):
    """Extents of one pooling; `average` chooses for those who do not run both kinds."""

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
    average: bool = False

    @property
    def input_size(self) -> tuple[int, int, int, int]:
        return self.N, self.C, self.IH, self.IW


class AdaptiveCase(NamedTuple):
    """Extents of one adaptive average pooling."""

    name: str
    N: int
    C: int
    IH: int
    IW: int
    output: tuple[int, int]

    @property
    def input_size(self) -> tuple[int, int, int, int]:
        return self.N, self.C, self.IH, self.IW


Case = ConvCase | PoolCase | AdaptiveCase


def _same(pad: int) -> tuple[int, int, int, int]:
    return pad, pad, pad, pad


# What the nets do not have and users do.
OTHER_LAYERS = [
    ConvCase("16 channels 3x3", 64, 16, 32, 32, 16, 3, 3, padding=_same(1)),
    ConvCase("32 channels 3x3", 64, 32, 16, 16, 32, 3, 3, padding=_same(1)),
    ConvCase("1x1 widening", 8, 24, 56, 56, 144, 1, 1),
    ConvCase("1x1 narrowing", 8, 576, 14, 14, 96, 1, 1),
    ConvCase("5x5, 48 channels", 8, 48, 28, 28, 64, 5, 5, padding=_same(2)),
    ConvCase("5x5 stride 2", 8, 64, 32, 32, 128, 5, 5, (2, 2), _same(2)),
    ConvCase("1x7", 8, 128, 17, 17, 128, 1, 7, padding=(0, 0, 3, 3)),
    ConvCase("7x1", 8, 128, 17, 17, 128, 7, 1, padding=(3, 3, 0, 0)),
    ConvCase("3x1", 8, 384, 8, 8, 384, 3, 1, padding=(1, 1, 0, 0)),
    ConvCase("patches 4x4 stride 4", 8, 3, 224, 224, 96, 4, 4, (4, 4)),
    ConvCase("patches 16x16 stride 16", 8, 3, 224, 224, 192, 16, 16, (16, 16)),
    ConvCase("stem 3x3 stride 2", 8, 3, 224, 224, 32, 3, 3, (2, 2), _same(1)),
    ConvCase("2x2 stride 2", 8, 192, 28, 28, 384, 2, 2, (2, 2)),
    ConvCase("transposed 2x2 stride 2", 8, 64, 64, 64, 128, 2, 2, (2, 2)),
    ConvCase("transposed 4x4 stride 2", 16, 64, 32, 32, 128, 4, 4, (2, 2), _same(1)),
    ConvCase("map of 4x4", 64, 256, 4, 4, 256, 3, 3, padding=_same(1)),
    ConvCase("map of 4x4, 1x1", 64, 512, 4, 4, 256, 1, 1),
    ConvCase("map of 2x2", 64, 512, 2, 2, 512, 3, 3, padding=_same(1)),
    ConvCase("map of 1x1", 64, 512, 1, 1, 512, 3, 3, padding=_same(1)),
    ConvCase("map of 1x1, 1x1", 64, 1152, 1, 1, 48, 1, 1),
    ConvCase("depthwise 3x3", 8, 96, 56, 56, 96, 3, 3, padding=_same(1), groups=96),
    ConvCase("depthwise 3x3 stride 2", 8, 96, 56, 56, 96, 3, 3, (2, 2), _same(1), groups=96),
    ConvCase("depthwise 3x3, 7x7", 8, 960, 7, 7, 960, 3, 3, padding=_same(1), groups=960),
    ConvCase("depthwise 5x5", 8, 240, 28, 28, 240, 5, 5, padding=_same(2), groups=240),
    ConvCase("depthwise 5x5 stride 2", 8, 144, 56, 56, 144, 5, 5, (2, 2), _same(2), groups=144),
    ConvCase("depthwise 7x7", 8, 192, 28, 28, 192, 7, 7, padding=_same(3), groups=192),
    ConvCase("depthwise 7x7, 7x7", 8, 768, 7, 7, 768, 7, 7, padding=_same(3), groups=768),
    ConvCase("depthwise, 2 filters each", 8, 64, 28, 28, 128, 3, 3, padding=_same(1), groups=64),
    ConvCase("32 groups 3x3", 8, 128, 28, 28, 128, 3, 3, padding=_same(1), groups=32),
    ConvCase("groups of 4 channels", 8, 128, 56, 56, 128, 3, 3, padding=_same(1), groups=32),
    ConvCase("groups of 8 channels", 8, 256, 28, 28, 256, 3, 3, padding=_same(1), groups=32),
    ConvCase("groups of 16 channels", 8, 512, 14, 14, 512, 3, 3, padding=_same(1), groups=32),
    ConvCase("groups of 32 channels", 8, 1024, 7, 7, 1024, 3, 3, padding=_same(1), groups=32),
    ConvCase("groups of 8, stride 2", 8, 256, 56, 56, 256, 3, 3, (2, 2), _same(1), groups=32),
    ConvCase("grouped 1x1", 8, 240, 28, 28, 240, 1, 1, groups=3),
    ConvCase("dilated 3x3 by 2", 8, 64, 56, 56, 64, 3, 3, padding=_same(2), dilation=(2, 2)),
    ConvCase("dilated 3x3 by 4", 2, 256, 28, 28, 256, 3, 3, padding=_same(4), dilation=(4, 4)),
    ConvCase("dilated 3x3 by 12", 2, 256, 33, 33, 64, 3, 3, padding=_same(12), dilation=(12, 12)),
    ConvCase("51x51 padding 25", 2, 3, 64, 64, 8, 51, 51, padding=_same(25)),
    ConvCase("25x25 stride 3", 8, 3, 128, 128, 16, 25, 25, (3, 3)),
    ConvCase("depthwise 13x13", 4, 64, 28, 28, 64, 13, 13, padding=_same(6), groups=64),
    ConvCase("depthwise 31x31", 2, 64, 28, 28, 64, 31, 31, padding=_same(15), groups=64),
    PoolCase("max 3x3 stride 1", 8, 192, 28, 28, (3, 3), (1, 1), (1, 1)),
    PoolCase("max 3x3 stride 2", 8, 64, 56, 56, (3, 3), (2, 2), (1, 1)),
    PoolCase("max 5x5 stride 1", 8, 256, 20, 20, (5, 5), (1, 1), (2, 2)),
    PoolCase("max 13x13 stride 1", 8, 256, 13, 13, (13, 13), (1, 1), (6, 6)),
    PoolCase("average 2x2", 8, 64, 56, 56, (2, 2), (2, 2), average=True),
    PoolCase("average 3x3 stride 1", 8, 64, 28, 28, (3, 3), (1, 1), (1, 1), average=True),
    PoolCase("average 3x3 stride 2", 8, 128, 28, 28, (3, 3), (2, 2), (1, 1), average=True),
    PoolCase("average 13x13 stride 1", 4, 64, 26, 26, (13, 13), (1, 1), (6, 6), average=True),
    AdaptiveCase("global average", 8, 1280, 7, 7, (1, 1)),
    AdaptiveCase("adaptive average to 3x3", 8, 512, 14, 14, (3, 3)),
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
    ConvCase("depthwise, 8 channels, 14x14", 2, 8, 14, 14, 8, 3, 3, padding=_same(1), groups=8),
    ConvCase("depthwise, 17 channels, 7x7", 2, 17, 7, 7, 17, 3, 3, padding=_same(1), groups=17),
    ConvCase("depthwise 5x5, rows of 15", 1, 16, 17, 15, 16, 5, 5, padding=_same(2), groups=16),
    ConvCase("depthwise 7x7, rows of 37", 1, 9, 9, 37, 9, 7, 7, padding=_same(3), groups=9),
    ConvCase(
        "depthwise, stride 2, 33 channels", 1, 33, 13, 17, 33, 3, 3, (2, 2), _same(1), groups=33
    ),
    ConvCase("depthwise 5x5, stride 2", 1, 19, 15, 14, 19, 5, 5, (2, 2), _same(2), groups=19),
    ConvCase("depthwise, dilation 2 by 3", 1, 15, 13, 15, 15, 3, 3, (1, 1), _same(3), (2, 3), 15),
    ConvCase("depthwise, three filters each", 1, 9, 11, 10, 27, 3, 3, padding=_same(1), groups=9),
    ConvCase(
        "depthwise, stride 3 by 1, 4x2", 1, 11, 14, 11, 11, 4, 2, (3, 1), (0, 1, 2, 0), groups=11
    ),
    ConvCase("depthwise, wide padding", 1, 16, 7, 9, 16, 3, 3, padding=(4, 5, 6, 13), groups=16),
    ConvCase("depthwise, 33x9 filters", 1, 8, 35, 12, 8, 33, 9, padding=_same(4), groups=8),
    ConvCase("groups of 4, 12 channels", 2, 12, 8, 9, 12, 3, 3, padding=_same(1), groups=3),
    ConvCase("groups of 2, 5x4, stride 2", 1, 36, 7, 17, 36, 5, 4, (1, 2), _same(2), groups=18),
    ConvCase("groups of 8, rows of 22", 1, 24, 5, 22, 24, 3, 3, (2, 1), _same(1), groups=3),
    ConvCase("groups of 4, dilated", 1, 20, 9, 8, 20, 3, 3, (1, 3), _same(2), (3, 2), groups=5),
    ConvCase("3 channels to 16 in a group", 2, 6, 9, 16, 32, 7, 3, (2, 2), _same(3), groups=2),
    ConvCase("groups of 16, map of 2x6", 2, 32, 2, 6, 32, 2, 3, padding=_same(1), groups=2),
    ConvCase("bands of several rows", 1, 40, 45, 40, 9, 3, 3, padding=_same(1)),
    ConvCase("wide rows", 1, 2, 3, 301, 3, 3, 3, padding=_same(1)),
    ConvCase("no images", 0, 3, 8, 8, 4, 3, 3),
    ConvCase("no input channels", 2, 0, 8, 8, 4, 3, 3),
    ConvCase("large kernel", 1, 1, 20, 20, 2, 17, 19, padding=_same(8)),
    ConvCase("1x1, a chunk of terms and one more", 1, 257, 5, 5, 25, 1, 1),
    ConvCase("1x1, a block of pixels and one more", 1, 17, 1, 193, 24, 1, 1),
    ConvCase("1x1 stride 2, pairs of phases", 2, 16, 6, 26, 17, 1, 1, (2, 2)),
    ConvCase("3x3 stride 2, pairs of phases", 2, 20, 8, 52, 33, 3, 3, (2, 2), _same(1)),
    ConvCase("3x3 stride 2, odd rows", 2, 20, 9, 25, 23, 3, 3, (2, 2), _same(1)),
    ConvCase("5x3, terms in several chunks", 1, 37, 9, 9, 65, 5, 3, padding=(2, 2, 1, 1)),
    ConvCase("groups of 19 channels", 2, 38, 7, 9, 50, 3, 2, (1, 2), _same(1), groups=2),
    ConvCase("map of 2x2, 9 images", 9, 33, 2, 2, 25, 3, 3, padding=_same(1)),
    ConvCase("map of 1x1, 17 images, 2 groups", 17, 34, 1, 1, 32, 3, 3, padding=_same(1), groups=2),
    ConvCase(
        "fewer pixels than channels, 2 groups", 2, 14, 4, 3, 74, 3, 3, (2, 2), _same(1), groups=2
    ),
    ConvCase("map of 4x4 to 2x2, 25 images", 25, 18, 4, 4, 24, 3, 3, (2, 2), _same(1)),
    ConvCase(
        "tap of which none sees the map", 9, 16, 2, 2, 16, 3, 3, padding=_same(4), dilation=(4, 4)
    ),
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
    # Small maps as a stream: rows of 1, 2, 4, 8 outputs, and more or fewer of them than lanes.
    *(
        PoolCase(f"k2 on {c}x{n}x{2 * n}", 1, c, 2 * n, 2 * n, (2, 2), (2, 2))
        for n, c in [(1, 1), (1, 37), (2, 3), (2, 11), (4, 1), (4, 5), (8, 3)]
    ),
    PoolCase("k2, rows of 7 outputs", 2, 5, 14, 14, (2, 2), (2, 2)),
    PoolCase("k2, several blocks of rows", 1, 2, 94, 62, (2, 2), (2, 2)),
    PoolCase("k2 s1", 1, 9, 5, 18, (2, 2), (1, 1)),
    PoolCase("k2 s2 p1", 1, 8, 9, 16, (2, 2), (2, 2), (1, 1)),
    PoolCase("k4 s4", 1, 7, 9, 16, (4, 4), (4, 4)),
    # By rows and columns: lengths that are and are not powers of two, channels around a vector.
    PoolCase("k5 s1 p2", 2, 16, 13, 13, (5, 5), (1, 1), (2, 2)),
    PoolCase("k13 s1 p6", 1, 17, 13, 13, (13, 13), (1, 1), (6, 6)),
    PoolCase("k9 by 4, s1, p4 by 2", 1, 7, 11, 6, (9, 4), (1, 1), (4, 2)),
    PoolCase("k3 s1, several blocks of rows", 1, 33, 50, 31, (3, 3), (1, 1), (1, 1)),
    PoolCase("k1 by 11, s1 p0 by 5", 1, 8, 4, 15, (1, 11), (1, 1), (0, 5)),
    PoolCase("wide k13 by 15, s1", 1, 2, 4, 130, (13, 15), (1, 1), (6, 7)),
]

DILATED_POOL_CASES = [
    PoolCase("dilation 2", 1, 3, 12, 13, (3, 3), (2, 1), (1, 1), (2, 2)),
    PoolCase("dilation 2 by 3", 2, 2, 14, 20, (2, 3), (2, 2), (1, 1), (2, 3), True),
]
