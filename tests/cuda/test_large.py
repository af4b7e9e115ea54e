"""What users report of other CUDA libraries, rows 11 to 14 and 25 of that list: tensors of 2^31
elements and more, and large batches. Kernels read a few far places of tensors whose memory is
reserved and never taken."""

import ctypes
import mmap
import subprocess

import pytest
import torch
from cases import ConvCase, PoolCase
from cuda_calls import conv_shape, pool_shape
from cuda_device import kernels_of_cuda
from cuda_shim import ROOT, Tuning, compiler

import fastconv
from fastconv.core import ops

F = fastconv.functional
STEP = 16000  # places that are read lie so far apart
EXTENT = 2 * STEP + 1500  # 2 channels of EXTENT x EXTENT: more than 2^31 elements


@pytest.fixture(scope="module")
def x():
    """(1, 2, EXTENT, EXTENT) of float16, zero but for the places that strides of STEP reach."""
    elements = 2 * EXTENT**2
    assert elements > 2**31
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    try:
        memory = mmap.mmap(-1, 2 * elements, flags=flags)
    except OSError as error:
        pytest.skip(f"no addresses for a tensor of 2^31 elements: {error}")
    x = torch.frombuffer(memory, dtype=torch.float16).view(1, 2, EXTENT, EXTENT)
    for c in range(2):
        for h in range(3):
            for w in range(3):
                value = 1 + 9 * c + 3 * h + w
                x[0, c, h * STEP, w * STEP] = value
                channels_last(x)[0, c, h * STEP, w * STEP] = value
    return x


def channels_last(x):
    """The same memory as a tensor of the other layout."""
    return x.view(1, EXTENT, EXTENT, 2).permute(0, 3, 1, 2)


def seen(x):
    return x[:, :, ::STEP, ::STEP].float()


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("groups", [1, 2], ids=["dense", "depthwise"])
def test_convolutions_reach_beyond_2_to_the_31_elements(x, groups, last):
    if last:
        x = channels_last(x)
    small = seen(x)
    w = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).half()[:, : 2 // groups, None, None].contiguous()
    gy = torch.arange(18.0).view(1, 2, 3, 3).half()
    if last:
        gy = gy.to(memory_format=torch.channels_last)
    args = ((STEP, STEP), (0, 0, 0, 0), (1, 1), groups)
    with kernels_of_cuda():
        y = ops.conv2d(x, w, None, *args)
        grad_w, _ = ops.conv2d_backward_weight(gy, x, tuple(w.shape), *args, False, False)
    want = torch.nn.functional.conv2d(small, w.float(), groups=groups)
    assert torch.equal(y.float(), want)
    leaf = w.float().requires_grad_()
    torch.nn.functional.conv2d(small, leaf, groups=groups).backward(gy.float())
    assert torch.equal(grad_w.float(), leaf.grad.half().float())


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
def test_pools_reach_beyond_2_to_the_31_elements(x, last):
    if last:
        x = channels_last(x)
    with kernels_of_cuda():
        y, indices = F.max_pool2d(x, 1, STEP, return_indices=True)
        means = F.avg_pool2d(x, (1, 1), STEP)
    assert torch.equal(y.float(), seen(x)) and torch.equal(means, y)
    places = torch.arange(3) * STEP
    assert torch.equal(indices[0, 1], places[:, None] * EXTENT + places)


def test_a_batch_beyond_65535_images():
    x = torch.arange(70_000.0).view(70_000, 1, 1, 1).repeat(1, 2, 1, 1)
    w = torch.tensor([2.0, 3.0]).view(2, 1, 1, 1)
    with kernels_of_cuda():
        y, pooled = F.conv2d(x, w, groups=2), F.max_pool2d(x, 1)
    assert torch.equal(y, x * w.view(1, 2, 1, 1)) and torch.equal(pooled, x)


INVALID_VALUE, INVALID_CONFIGURATION = 1, 9  # of CUDA
PAST = 2**45  # images: more blocks than a grid holds, whatever a block computes
PLACES = 2**30  # an extent beyond the 32-bit numbers of places


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize(
    ("N", "extent", "code"), [(PAST, 2, INVALID_CONFIGURATION), (1, PLACES, INVALID_VALUE)],
    ids=["blocks", "places"],
)  # fmt: skip
def test_what_no_grid_holds_is_an_error_and_no_launch(shim, N, extent, code, last):
    """Row 14: others launch -2147483648 blocks. Nothing is allocated, and no address is touched."""
    shim.reset(counting=True)
    at = shim.memory("nothing", 1, 16)
    for groups, IC in ((1, 8), (1, 3), (8, 8)):
        case = ConvCase("", N, IC, extent, extent, 8, 1, 1, groups=groups)
        shape = conv_shape(case, last, last, last)
        for dtype, tuning in ((0, Tuning()), (2, Tuning(tensor_cores=80))):
            room = shim.call("conv2d_weight_workspace", dtype, shape, 0, tuning)
            assert 0 < room <= 128 * 8 * max(IC, 8) * 8  # at most 128 copies of the weight
            arguments = (dtype, shape, at, at)
            calls = [
                shim.call("conv2d_forward", *arguments, None, at, 0, tuning, None),
                shim.call("conv2d_backward_input", *arguments, at, 0, tuning, None),
            ]
            assert calls == [code, code], (groups, IC, dtype)
    pooled = pool_shape(PoolCase("", 1, 8, 4, 4, (2, 2), (2, 2)), last)
    pooled.N, pooled.IH = N, extent
    for name in ("max_pool2d_forward", "max_pool2d_backward"):
        assert shim.call(name, 0, pooled, at, at, at, Tuning(), None) == code, name
    for name in ("avg_pool2d_forward", "avg_pool2d_backward"):
        assert shim.call(name, 0, pooled, at, at, Tuning(), None) == code, name
    assert shim.counters()["launches"] == 0 and shim.errors() == []


def test_volumes_pass_through_the_kernels_of_images():
    """Row 14: conv3d of small extents; its planes are those of the tests above."""
    generator = torch.Generator().manual_seed(1)
    x, w = (torch.randn(size, generator=generator, dtype=torch.float64)
            for size in ((2, 3, 4, 5, 6), (4, 3, 2, 3, 3)))  # fmt: skip
    with kernels_of_cuda() as shim:
        y = F.conv3d(x, w, stride=(1, 2, 1), padding=1)
        assert shim.counters()["launches"] >= 1
    want = torch.nn.functional.conv3d(x, w, stride=(1, 2, 1), padding=1)
    assert torch.allclose(y, want, rtol=1e-12, atol=1e-12)


CHECK = """
#include "../csrc/cuda/common/divider.h"
#include <cstdint>
using fastconv::cuda::Divider;
extern "C" uint32_t narrow(uint32_t n, int64_t d) { return Divider<uint32_t>(d).divide(n); }
extern "C" uint64_t wide(uint64_t n, int64_t d) { return Divider<uint64_t>(d).divide(n); }
"""


def test_division_by_multiplication_is_exact(tmp_path):
    source, target = tmp_path / "check.cpp", tmp_path / "check.so"
    source.write_text(CHECK.replace("../csrc", str(ROOT / "csrc")))
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-Wno-psabi"]
    command = [compiler(), *flags, source, "-o", target]
    subprocess.run(command, check=True)
    library = ctypes.CDLL(str(target))
    for name, kind, bits in (("narrow", ctypes.c_uint32, 31), ("wide", ctypes.c_uint64, 62)):
        divide = getattr(library, name)
        divide.restype, divide.argtypes = kind, [kind, ctypes.c_int64]
        most = 2**bits - 1
        for d in (1, 2, 3, 5, 7, 28, 641, 2**16 - 1, 2**16 + 1, 2**30 - 1, 2**30, 2**31 - 1):
            for q in {min(q, most // d) for q in (0, 1, 2, 3, most // d // 2, most)}:
                for n in {max(q * d - 1, 0), q * d, min(q * d + 1, most), min(q * d + d - 1, most)}:
                    assert divide(n, d) == n // d, (name, n, d)
