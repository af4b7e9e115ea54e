"""Step "smoke": every operator, in each type and layout that takes another kernel, beside torch in
float64, within the derived bounds of the tests.

    python -m benchmarks.gpu.smoke FILE [--device cpu] [--few]
"""

import argparse
import itertools
from collections.abc import Iterator

import torch
from cases import ConvCase, PoolCase
from reference import assert_rounded_once, dot_bound, gradients

import fastconv
from benchmarks.gpu.rows import Rows

F = fastconv.functional
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


def same(pad: int) -> tuple[int, int, int, int]:
    return pad, pad, pad, pad


CONVOLUTIONS = [
    ConvCase("dense 3x3", 2, 24, 13, 13, 40, 3, 3, padding=same(1)),
    ConvCase("dense 1x1, 72 channels", 2, 72, 9, 9, 72, 1, 1),
    ConvCase("strided 3x3", 2, 16, 15, 15, 24, 3, 3, (2, 2), same(1)),
    ConvCase("grouped, dilated", 1, 16, 12, 12, 24, 3, 3, (1, 1), same(2), (2, 2), 2),
    ConvCase("first layer 7x7", 2, 3, 30, 30, 64, 7, 7, (2, 2), same(3)),
    ConvCase("odd channels", 2, 7, 9, 9, 5, 3, 2),
    ConvCase("depthwise 3x3", 2, 32, 14, 14, 32, 3, 3, padding=same(1), groups=32),
    ConvCase("8 channels 1x1", 1, 8, 5, 5, 8, 1, 1),
    ConvCase("depthwise 7x7, stride 2", 2, 33, 14, 14, 33, 7, 7, (2, 2), same(3), groups=33),
]  # fmt: skip
FEW = CONVOLUTIONS[-4:-1]  # small, and each takes other kernels
POOLS = [
    PoolCase("3x3, stride 2", 2, 16, 15, 15, (3, 3), (2, 2), (1, 1)),
    PoolCase("global 7x7", 2, 16, 7, 7, (7, 7), (7, 7)),
]


def numbers(size, dtype, layout, device, seed):
    generator = torch.Generator().manual_seed(seed)
    t = torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)
    return t.to(device).to(memory_format=layout)


def check_conv2d(case: ConvCase, dtype, layout, device: str) -> dict:
    """The largest error of y and the three gradients, as a share of its bound."""
    sizes = (case.output_size, case.input_size, case.weight_size)
    gy, x, w = (numbers(s, dtype, layout, device, i) for i, s in enumerate(sizes))
    bias = numbers((case.OC, 1, 1, 1), dtype, torch.contiguous_format, device, 3).flatten()
    arguments = (case.stride, case.padding[::2], case.dilation, case.groups)
    with fastconv.flags(cuda="fastconv"):
        got = gradients(lambda *t: F.conv2d(*t, *arguments), gy, x, w, bias)
    exact = [t.cpu().double() for t in (gy, x, w, bias)]
    torchs = torch.nn.functional.conv2d
    want = gradients(lambda *t: torchs(*t, *arguments), *exact)
    sizes = gradients(lambda *t: torchs(*t, *arguments), *(t.abs() for t in exact))
    outputs, taps = gy.numel() // case.OC, case.KH * case.KW
    terms = [case.IC // case.groups * taps + 1, case.OC // case.groups * taps, outputs, outputs]
    return compare(got, want, sizes, terms, dtype)


def check_pool(kind: str, case: PoolCase, dtype, layout, device: str) -> dict:
    x = numbers(case.input_size, dtype, layout, device, 1)
    arguments = (case.kernel, case.stride, case.padding)

    def call(functions):
        return lambda x: getattr(functions, kind)(x, *arguments)

    want = call(torch.nn.functional)(x.cpu().double())
    gy = numbers(want.shape, dtype, layout, device, 2)
    with fastconv.flags(cuda="fastconv"):
        got = gradients(call(F), gy, x)
    exact = [t.cpu().double() for t in (gy, x)]
    wanted = gradients(call(torch.nn.functional), *exact)
    of_gy = gradients(call(torch.nn.functional), exact[0].abs(), exact[1])[1]  # the same maxima
    sizes = [call(torch.nn.functional)(exact[1].abs()), of_gy]
    terms = [case.kernel[0] * case.kernel[1] + 1] * 2
    return compare(got, wanted, [t.abs() for t in sizes], terms, dtype)


def compare(got, want, sizes, terms, dtype) -> dict:
    sums = torch.float64 if dtype is torch.float64 else torch.float32
    both = 2 if sums is torch.float64 else 1  # then the reference has rounded as often
    names = ("y", "grad_x", "grad_w", "grad_bias")
    worst = 0.0
    for name, g, r, size, n in zip(names, got, want, sizes, terms, strict=False):
        bound = both * dot_bound(n, size, sums)
        assert_rounded_once(g.cpu(), r, bound, name)
        worst = max(worst, (g.cpu().double() - r).abs().max().item())
    return {"largest error": worst}


def checks(device: str, few: bool) -> Iterator[tuple]:
    for dtype, (name, layout) in itertools.product(DTYPES, LAYOUTS.items()):
        how = f"{str(dtype)[6:]}, {name}"
        for case in FEW if few else CONVOLUTIONS:
            yield f"conv2d {case.name}, {how}", check_conv2d, case, dtype, layout, device
        for kind, case in itertools.product(("max_pool2d", "avg_pool2d"), POOLS):
            key = f"{kind} {case.name}, {how}"
            yield key, lambda *a, kind=kind: check_pool(kind, *a), case, dtype, layout, device


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--few", action="store_true", help="for compute-sanitizer")
    chosen = parser.parse_args(given)
    rows = Rows(chosen.file)
    if chosen.device == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    for key, check, *arguments in checks(chosen.device, chosen.few):
        rows.add(key, lambda check=check, arguments=arguments: check(*arguments))
    return 1 if rows.errors() else 0


if __name__ == "__main__":
    raise SystemExit(main())
