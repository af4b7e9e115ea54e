"""GEMM convolution of bfloat16 by products of pairs (csrc/cpu/gemm/pairs): what AVX512_BF16
computes, which FASTCONV_ISA=avx2-wide emulates bit for bit on every machine with AVX2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cases import ConvCase
from raw_kernels import DIRECTIONS, Conv, multiplies_pairs
from reference import assert_rounded_once, dot_bound

from fastconv import _debug

EMULATION = "avx2-wide"
PAIRED = multiplies_pairs()
only_in_pairs = pytest.mark.skipif(not PAIRED, reason="runs in the emulation")
# Odd numbers of terms, pixels and channels; several chunks of terms (more than 128) and of pixels.
CASES = [
    ConvCase("one of each", 1, 1, 1, 1, 1, 1, 1),
    ConvCase("1x1, 301 terms", 2, 301, 5, 7, 17, 1, 1),
    ConvCase("3x3 stride 2", 3, 5, 9, 11, 19, 3, 3, stride=(2, 2), padding=(1, 1, 1, 1)),
    ConvCase("3 groups", 2, 15, 6, 7, 21, 3, 2, groups=3),
]


@pytest.mark.skipif(PAIRED, reason="is the emulation")
@pytest.mark.skipif(not _debug.cpu_features()[EMULATION], reason="needs AVX2")
def test_in_the_emulation():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    env = {k: v for k, v in os.environ.items() if k != "FASTCONV_TESTS_EVERY"}
    tests = subprocess.run(
        command,
        env=env | {"FASTCONV_ISA": EMULATION},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert tests.returncode == 0 and "3 passed, 1 skipped" in tests.stdout, tests.stdout[-4000:]


def results(conv: Conv, threads: int) -> dict[str, torch.Tensor]:
    return {k: v for d in DIRECTIONS for k, v in conv.run(d, "gemm", threads).items()}


@only_in_pairs
def test_every_direction_is_within_the_bound_of_float_sums():
    """A pair adds two products, each with one rounding to float32, like any other sum. Bits do not
    depend on the number of threads."""
    for case in CASES:
        for layout in ("nchw", "nhwc", "mixed", "mixed weight"):
            conv = Conv(case, torch.bfloat16, layout)
            one, three = results(conv, 1), results(conv, 3)
            for direction in DIRECTIONS:
                for name in (direction, "bias") if direction == DIRECTIONS[-1] else (direction,):
                    what = f"{case.name} {layout} {name}"
                    bound = dot_bound(conv.terms(direction), conv.magnitude[name], torch.float32)
                    assert_rounded_once(one[name], conv.exact[name], bound, what)
                    assert torch.equal(one[name], three[name]), what


def float_sums(w: torch.Tensor, x: torch.Tensor, order: list[int]) -> torch.Tensor:
    """[m][pixel]: the sums of the exact products, one float32 addition after the other."""
    sums = torch.zeros(w.shape[0], x.shape[1])
    for k in order:
        sums = sums + w[:, k : k + 1] * x[k]
    return sums


@only_in_pairs
def test_bits_are_those_of_the_instruction():
    """Of each pair the second product is added first. Large terms cancel, so that what is left is
    what the additions rounded, and tells their order."""
    K, M, P = 127, 19, 50
    half = (K - 1) // 2
    signs = [torch.randint(0, 2, size) * 2.0 - 1 for size in ((M, half), (half, P))]
    w, x = (s * 2.0 ** torch.randint(0, 12, s.shape) * (1 + torch.rand(s.shape)) for s in signs)
    w, x = w.bfloat16().float(), x.bfloat16().float()
    w = torch.cat([w, w, torch.ones(M, 1)], 1)
    x = torch.cat([x, -x, torch.ones(1, P)], 0)
    pairs = [k for j in range(0, K, 2) for k in (j + 1, j) if k < K]
    want = float_sums(w, x, pairs).bfloat16()
    assert (want != float_sums(w, x, list(range(K))).bfloat16()).float().mean() > 0.5
    for layout in ("nchw", "nhwc"):
        conv = Conv(ConvCase("", 1, K, 1, P, M, 1, 1), torch.bfloat16, layout)
        conv.w[:] = w.reshape(conv.w.shape)
        conv.x[:] = (x if layout == "nchw" else x.T).reshape(conv.x.shape)
        conv.bias[:] = 0
        got = conv.run("forward", "gemm")["forward"].reshape(M, P)
        assert torch.equal(got, want), layout


@only_in_pairs
def test_denormal_numbers_count_as_zero():
    conv = Conv(ConvCase("", 1, 3, 1, 1, 1, 1, 1), torch.bfloat16, "nchw")
    conv.bias[:] = 0
    # exponents of x, w and y: a denormal factor, a normal one, a denormal product
    for x, w, y in ((-127, 40, None), (-126, 40, -86), (-80, -60, None)):
        for at in range(3):
            for tensor, exponent in ((conv.x, x), (conv.w, w)):
                tensor.zero_().flatten()[at] = 2.0**exponent
            got = conv.run("forward", "gemm")["forward"].item()
            assert got == (2.0**y if y else 0), (x, w, at)
