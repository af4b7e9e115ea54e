"""Which layers are measured: the list shared with the tests, at the batch sizes of benchmarks."""

from collections.abc import Sequence
from fnmatch import fnmatch
from functools import lru_cache

from cases import OTHER_LAYERS, AdaptiveCase, Case, ConvCase, PoolCase

from benchmarks.harness.net_layers import NETS, layers_of, net_layers

__all__ = [
    "BESIDE_PEERS",
    "CORE",
    "GROWTH",
    "NETS",
    "QUICK",
    "AdaptiveCase",
    "Case",
    "ConvCase",
    "PoolCase",
    "all_cases",
    "forward_flop",
    "group",
    "home_batch",
    "layers_of",
    "net_layers",
    "resized",
    "select",
    "shape_text",
    "square",
]

SMALL_IMAGE = 128  # extents up to here are trained in batches of 64, larger ones of 8
MOST_HOME_FLOP = 16e9  # of a forward pass; larger batches are halved until below

# A few layers of every kind, for what is too dear to measure on all: types, one image, threads, and
# the comparison of commits.
CORE = (
    "lenet5.conv1",
    "lenet5.conv2",
    "mnist_cnn.conv2",
    "cifar_net.conv2",
    "alexnet.conv2",
    "resnet18.conv1",
    "resnet18.layer1.0.conv1",
    "resnet18.layer2.0.conv1",
    "resnet18.layer3.0.conv2",
    "resnet18.layer4.0.conv2",
    "resnet50.layer1.1.conv1",
    "resnet50.layer3.0.conv3",
    "vgg16@32.conv11",
    "1x1 narrowing",
    "1x7",
    "patches 4x4 stride 4",
    "transposed 4x4 stride 2",
    "map of 4x4",
    "map of 1x1",
    "depthwise 3x3",
    "depthwise 5x5 stride 2",
    "depthwise 7x7, 7x7",
    "groups of 4 channels",
    "groups of 16 channels",
    "dilated 3x3 by 2",
    "25x25 stride 3",
    "cifar_net.pool1",
    "resnet18.maxpool",
    "max 5x5 stride 1",
    "average 3x3 stride 1",
    "resnet18.avgpool",
    "adaptive average to 3x3",
)
# What `make bench-quick` measures.
QUICK = (
    "lenet5.conv1",
    "cifar_net.conv2",
    "resnet18.conv1",
    "resnet18.layer1.0.conv1",
    "resnet18.layer2.0.conv1",
    "resnet50.layer1.1.conv1",
    "1x7",
    "map of 4x4",
    "depthwise 3x3",
    "groups of 4 channels",
    "dilated 3x3 by 2",
    "resnet18.maxpool",
    "average 3x3 stride 1",
)
# Where torch.compile, ONNX Runtime, OpenVINO and JAX are measured too: compiling takes seconds.
BESIDE_PEERS = (
    "lenet5.conv1",
    "cifar_net.conv2",
    "resnet18.conv1",
    "resnet18.layer1.0.conv1",
    "resnet18.layer2.0.conv1",
    "resnet18.layer4.0.conv2",
    "resnet50.layer1.1.conv1",
    "depthwise 3x3",
    "resnet18.maxpool",
    "resnet18.avgpool",
)


def square(name: str, N: int, C: int, extent: int, K: int = 3) -> ConvCase:
    """C to C channels, padded so that maps keep their extent."""
    return ConvCase(name, N, C, extent, extent, C, K, K, padding=(K // 2,) * 4)


# How cost grows: one extent of a 3x3 layer on 28 x 28 pixels changes, the others stay.
GROWTH = {
    "batch": [square(f"batch {N}", N, 64, 28) for N in (1, 2, 4, 8, 16, 32, 64)],
    "channels": [square(f"channels {C}", 8, C, 28) for C in (4, 8, 16, 32, 64, 128, 256)],
}


def forward_flop(case: Case) -> int:
    """Of all taps, those on the padding included: for choosing batches, not for reporting."""
    if not isinstance(case, ConvCase):
        return 0
    N, OC, OH, OW = case.output_size
    return 2 * N * OC * OH * OW * case.IC // case.groups * case.KH * case.KW


def resized(case: Case, N: int) -> Case:
    """The same layer for N images."""
    return case._replace(N=N)


def home_batch(name: str, case: Case) -> Case:
    """The layer at the batch of the nets that have it; `name`: of a net, or the layer's own."""
    extent = next((e for net, e in NETS if name.startswith((f"{net}.", f"{net}@{e}."))), 0)
    batch = 64 if extent <= SMALL_IMAGE else 8
    while batch > 1 and forward_flop(resized(case, batch)) > MOST_HOME_FLOP:
        batch //= 2
    return resized(case, batch)


@lru_cache
def all_cases() -> tuple[Case, ...]:
    """Every distinct layer of the nets at its home batch, then the layers that no net has."""
    return (*(home_batch(case.name, case) for case in net_layers()), *OTHER_LAYERS)


def select(patterns: Sequence[str]) -> list[Case]:
    """The cases whose name matches any of the globs, in the order of the list.

    Raises:
        ValueError: a glob that matches nothing.
    """
    for pattern in patterns:
        if not any(fnmatch(case.name, pattern) for case in all_cases()):
            raise ValueError(f"no case matches {pattern!r}: --list shows them all")
    return [c for c in all_cases() if any(fnmatch(c.name, p) for p in patterns)]


LARGE_FILTER = 11  # rows of the largest of the usual filters, AlexNet's
SMALL_MAP = 4  # rows and columns of the larger of both maps


def group(case: Case) -> str:
    """What kind of layer it is, for summaries: a kind of benchmarks/report/asked.py."""
    if not isinstance(case, ConvCase):
        average = isinstance(case, AdaptiveCase) or case.average
        return "average pooling" if average else "max pooling"
    if case.KH > LARGE_FILTER and case.stride[0] < case.KH:  # else it cuts patches
        return "large filters"
    if case.groups > 1:
        return "depthwise" if case.groups == case.IC else "grouped"
    if case.dilation != (1, 1):
        return "dilated"
    if case.IC <= 4:
        return "first layers"
    if max(case.IH, case.IW) <= SMALL_MAP:
        return "maps of 4x4, 2x2, 1x1"
    if (case.KH, case.KW) == (1, 1):
        return "1x1"
    if case.stride != (1, 1):
        return "3x3 stride 2"
    if (case.KH, case.KW) != (3, 3):
        return "5x5, 1x7"
    return "3x3, 64 channels or more" if case.IC >= 64 else "3x3, fewer channels"


def shape_text(case: Case) -> str:
    """Such as 8x64x56x56 -> 128, 3x3, stride 2, padding 1."""
    size = "x".join(map(str, case.input_size))
    if isinstance(case, AdaptiveCase):
        return f"{size}, average to {case.output[0]}x{case.output[1]}"
    if isinstance(case, PoolCase):
        kind = "average" if case.average else "max"
        parts = [size, f"{kind} {case.kernel[0]}x{case.kernel[1]}"]
        padding = case.padding
    else:
        parts = [f"{size} -> {case.OC}", f"{case.KH}x{case.KW}"]
        padding = case.padding[0::2]
    for name, pair, usual in (
        ("stride", case.stride, case.kernel if isinstance(case, PoolCase) else (1, 1)),
        ("padding", padding, (0, 0)),
        ("dilation", case.dilation, (1, 1)),
    ):
        if pair != usual:
            parts.append(f"{name} {pair[0] if pair[0] == pair[1] else f'{pair[0]}x{pair[1]}'}")
    if getattr(case, "groups", 1) > 1:
        parts.append(f"{case.groups} groups")
    return ", ".join(parts)
