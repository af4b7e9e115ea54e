"""A layer as a user types it -> a case.

    8x64x28x28 -> 256, 3x3, stride 2, padding 1       N x IC x IH x IW -> OC, KH x KW
    8x64x28x28 -> 64, 3x3/2, padding 1, groups 64     /2: stride 2
    8x64x56x56, max 3x3, stride 2, padding 1          also: average 2x2, and ceil mode
    8x512x7x7, average to 1x1                         adaptive

cases.shape_text writes the same form.
"""

import re
from collections.abc import Callable

from cases import AdaptiveCase, Case, ConvCase, PoolCase

EXAMPLES = (
    "8x64x28x28 -> 256, 3x3, padding 1",
    "8x64x56x56, max 3x3, stride 2",
    "8x512x7x7, average to 1x1",
)
Pair = tuple[int, int]
PAIRED = ("stride", "padding", "dilation")


class SpecError(ValueError):
    """A layer that cannot be read, or that cannot be; the message has an example."""

    def __init__(self, spec: str, problem: str) -> None:
        shown = "; ".join(f'"{example}"' for example in EXAMPLES)
        super().__init__(f'"{spec}": {problem}. Examples: {shown}')


def _pair(text: str) -> Pair | None:
    """ "3" or "3x5"."""
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    return (int(found[1]), int(found[2] or found[1])) if found else None


def _window(text: str) -> dict[str, Pair] | None:
    """ "3x3" or "3x3/2": the kernel, and the stride where it is there."""
    kernel, slash, stride = text.partition("/")
    pairs = {"kernel": _pair(kernel)} | ({"stride": _pair(stride)} if slash else {})
    return None if None in pairs.values() else pairs


def _option(part: str) -> dict[str, Pair | int | bool] | None:
    """What one part between commas says."""
    words = part.split()
    if len(words) == 1:
        return {"depthwise": True} if part == "depthwise" else _window(part)
    if words == ["ceil", "mode"]:
        return {"ceil_mode": True}
    if len(words) == 2 and words[0] in ("max", "average"):
        window = _window(words[1])
        return window and {"pool": words[0], **window}
    if words[:2] == ["average", "to"] and len(words) == 3 and (output := _pair(words[2])):
        return {"output": output}
    if len(words) != 2:
        return None
    if "groups" in words:
        count = words[1 - words.index("groups")]
        return {"groups": int(count)} if count.isdecimal() else None
    name, value = words
    pair = _pair(value) if name in PAIRED else None
    return pair and {name: pair}


def parse(spec: str) -> Case:
    """
    Raises:
        SpecError: the layer cannot be read, or no such layer exists.
    """

    def wrong(problem: str) -> SpecError:
        return SpecError(spec, problem)

    text = " ".join(spec.lower().replace("->", " -> ").split())
    first, *parts = (part.strip() for part in text.split(","))
    found = re.fullmatch(r"(\d+)x(\d+)x(\d+)x(\d+)(?: -> (\d+))?", first)
    if not found:
        raise wrong(f'"{first}" is no input N x C x H x W, or input -> output channels')
    size, OC = tuple(map(int, found.groups()[:4])), found[5]
    options: dict = {}
    for part in parts:
        said = _option(part)
        if not said:
            raise wrong(f'"{part}" is not understood')
        if twice := sorted(options.keys() & said.keys()):
            raise wrong(f"{twice[0]} is given twice")
        options |= said
    make = _conv if OC else _adaptive if "output" in options else _pool
    case = make(wrong, " ".join(spec.split()), size, options, *([int(OC)] if OC else []))
    if options:
        raise wrong(f"{next(iter(options)).replace('_', ' ')} does not belong to this layer")
    return case


def _conv(wrong: Callable, name: str, size: tuple, options: dict, OC: int) -> ConvCase:
    if "kernel" not in options:
        raise wrong("the kernel, such as 3x3, is missing")
    if "pool" in options:
        raise wrong("a pool has no output channels")
    kernel, IC = options.pop("kernel"), size[1]
    stride, pad, dilation = _geometry(options, (1, 1))
    depthwise, groups = options.pop("depthwise", False), options.pop("groups", None)
    if depthwise and groups:
        raise wrong("depthwise says the groups already")
    groups = IC if depthwise else 1 if groups is None else groups
    padding = (pad[0], pad[0], pad[1], pad[1])
    if 0 in (*size, OC, groups, *kernel, *stride, *dilation):
        raise wrong("extents are positive")
    if IC % groups or OC % groups:
        raise wrong(f"{groups} groups do not divide {IC} and {OC} channels")
    case = ConvCase(name, *size, OC, *kernel, stride, padding, dilation, groups)
    if min(case.output_size[2:]) < 1:
        raise wrong("the kernel is larger than the padded input")
    return case


def _pool(wrong: Callable, name: str, size: tuple, options: dict) -> PoolCase:
    kind = options.pop("pool", None)
    if kind is None:
        raise wrong("neither output channels (-> 256) nor a pool (max 3x3)")
    kernel = options.pop("kernel")
    stride, padding, dilation = _geometry(options, kernel)
    if 0 in (*size, *kernel, *stride, *dilation):
        raise wrong("extents are positive")
    if kind == "average" and dilation != (1, 1):
        raise wrong("average pooling has no dilation")
    for extent, k, pad, d in zip(size[2:], kernel, padding, dilation, strict=True):
        if pad > k // 2:
            raise wrong("the padding of a pool is at most half its window")
        if d * (k - 1) + 1 > extent + 2 * pad:
            raise wrong("the window is larger than the padded input")
    ceil_mode = options.pop("ceil_mode", False)
    average = kind == "average"
    return PoolCase(name, *size, kernel, stride, padding, dilation, ceil_mode, average=average)


def _adaptive(wrong: Callable, name: str, size: tuple, options: dict) -> AdaptiveCase:
    output = options.pop("output")
    if 0 in (*size, *output):
        raise wrong("extents are positive")
    return AdaptiveCase(name, *size, output)


def _geometry(options: dict, stride: Pair) -> tuple[Pair, Pair, Pair]:
    usual = {"stride": stride, "padding": (0, 0), "dilation": (1, 1)}
    return tuple(options.pop(name, usual[name]) for name in PAIRED)
