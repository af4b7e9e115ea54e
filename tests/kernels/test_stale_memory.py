"""Lanes that no output needs read zeros, not what an earlier call left in the workspace.

A subnormal number there costs hundreds of cycles for every instruction that meets it. x86 notes in
a register that it met one, and the C library reads that register. Run once per instruction set by
test_isa.py.
"""

import ctypes
import platform
from functools import lru_cache

import pytest
import torch
from cases import CONV_CASES, ConvCase
from raw_kernels import DIRECTIONS, DTYPES, NUMBERS, Conv, supporting
from test_winograd import CASES as WINOGRAD_CASES

from fastconv.core.extension import _C

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc",
    reason="reads the SSE flags by fegetenv of glibc on x86-64",
)

FENV_BYTES, MXCSR_AT, FLAGS, SUBNORMAL_MET = 32, 28, 0x3F, 0x02


def meets_subnormals(run) -> bool:
    """Whether any SSE, AVX or AVX-512 arithmetic of run(), on this thread, reads a subnormal."""
    libm = ctypes.CDLL("libm.so.6")
    state = ctypes.create_string_buffer(FENV_BYTES)
    mxcsr = ctypes.c_uint32.from_buffer(state, MXCSR_AT)
    libm.fegetenv(state)
    mxcsr.value &= ~FLAGS
    libm.fesetenv(state)
    run()
    libm.fegetenv(state)
    return bool(mxcsr.value & SUBNORMAL_MET)


@lru_cache
def with_subnormal_filters(channels: int) -> Conv:
    conv = Conv(ConvCase("1x1", 1, channels, 1, 1, channels, 1, 1), torch.float32, "nchw")
    conv.w.fill_(1e-40)
    return conv


def fill_workspace_with_subnormals(count: int) -> None:
    """By a call whose packed filters, which lie first, are at least as many float32 elements."""
    channels = 32
    while channels**2 < count:
        channels *= 2
    conv = with_subnormal_filters(channels)
    assert meets_subnormals(lambda: conv.run("forward", "direct", threads=1))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("case", CONV_CASES + WINOGRAD_CASES, ids=lambda c: c.name)
def test_no_path_computes_with_what_it_did_not_write(case, layout, dtype):
    conv, ran = Conv(case, dtype, layout), set()
    for direction in DIRECTIONS:
        for path in supporting(direction, conv.shape):
            needed = _C.conv2d_workspace_bytes(direction, NUMBERS[dtype], conv.shape, 1, path)
            if needed == 0:
                continue
            ran.add(path)
            fill_workspace_with_subnormals(needed // 4)
            met = meets_subnormals(lambda: conv.run(direction, path, threads=1))  # noqa: B023
            assert not met, f"{direction} {path}"
    assert "direct" in ran or case.N * case.IC == 0
