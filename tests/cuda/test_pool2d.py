"""CUDA pools, executed by the SIMT shim, beside torch: max pooling is exact, average pooling is
within the bound of its sums."""

import os

import pytest
import torch
from cases import DILATED_POOL_CASES, POOL_CASES, AdaptiveCase, PoolCase
from cuda_calls import avg_pool2d, dense, max_pool2d, pool_shape
from cuda_shim import DTYPES, Tuning
from pools import same
from reference import assert_rounded_once, dot_bound, gradients

SWEEP = os.environ.get("FASTCONV_CUDA_SWEEP", "0") != "0"
F = torch.nn.functional
GLOBAL_CASES = [
    PoolCase("global 7x7", 2, 5, 7, 7, (7, 7), (7, 7)),
    PoolCase("global 9x31", 1, 3, 9, 31, (9, 31), (9, 31)),
    PoolCase("global 31x5", 1, 3, 31, 5, (31, 5), (31, 5)),
    PoolCase("global 33x65", 1, 2, 33, 65, (33, 65), (33, 65)),
    PoolCase("257 outputs", 1, 1, 1, 257, (1, 1), (1, 1)),
]
ADAPTIVE_CASES = [
    AdaptiveCase("7x7 of 8x9", 2, 3, 8, 9, (7, 7)),
    AdaptiveCase("1x1 of 5x7", 2, 5, 5, 7, (1, 1)),
    AdaptiveCase("3x5 of 11x13", 1, 3, 11, 13, (3, 5)),
    AdaptiveCase("more outputs than inputs", 1, 2, 3, 4, (5, 7)),
    AdaptiveCase("2x1 of 17x23", 1, 2, 17, 23, (2, 1)),
]
MAX_CASES = POOL_CASES + DILATED_POOL_CASES + GLOBAL_CASES + ADAPTIVE_CASES
AVG_CASES = POOL_CASES + GLOBAL_CASES + ADAPTIVE_CASES
ids = dict(ids=lambda v: getattr(v, "name", None) or str(v).removeprefix("torch."))
every_layout = pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])


def with_types(cases):
    """float32 with every case, the other types with each third one, or with all in the sweep."""
    others = [t for t in DTYPES if t != torch.float32]
    some = cases if SWEEP else cases[::3]
    pairs = [(t, c) for t in others for c in some] + [(torch.float32, c) for c in cases]
    return pytest.mark.parametrize(("dtype", "case"), pairs, **ids)


def tensors(case, dtype, last):
    generator = torch.Generator().manual_seed(len(case.name))
    shape = pool_shape(case, last)
    x = dense(case.input_size, dtype, last, generator)
    return x, dense((case.N, case.C, shape.OH, shape.OW), dtype, last, generator)


def torch_max(case):
    if isinstance(case, AdaptiveCase):
        return lambda x: F.adaptive_max_pool2d(x, case.output, return_indices=True)
    return lambda x: F.max_pool2d(x, case.kernel, case.stride, case.padding, case.dilation,
                                  case.ceil_mode, return_indices=True)  # fmt: skip


def torch_average(case):
    if isinstance(case, AdaptiveCase):
        return lambda x: F.adaptive_avg_pool2d(x, case.output)
    return lambda x: F.avg_pool2d(x, case.kernel, case.stride, case.padding, case.ceil_mode,
                                  case.count_include_pad, case.divisor_override)  # fmt: skip


def check_max(shim, case, x, gy, last, **how):
    y, indices, grad_x = max_pool2d(shim, case, x, gy, last, **how)
    of_double = x.double().contiguous().requires_grad_()
    want, places = torch_max(case)(of_double)
    assert same(y.double(), want.detach()) and torch.equal(indices, places)
    if not x.numel():
        return
    (exact,) = torch.autograd.grad(want, of_double, gy.double())
    of_sizes = torch.autograd.grad(torch_max(case)(of_double)[0], of_double, gy.double().abs())[0]
    sums = torch.float64 if x.dtype == torch.float64 else torch.float32
    assert_rounded_once(grad_x, exact, dot_bound(gy.numel(), of_sizes, sums), case.name)


@every_layout
@with_types(MAX_CASES)
def test_max_pool2d(shim, case, dtype, last):
    shim.reset(schedule=len(case.name))
    check_max(shim, case, *tensors(case, dtype, last), last)


@every_layout
@pytest.mark.parametrize("case", MAX_CASES[::3], **ids)
def test_max_pool2d_of_ties_and_nans(shim, case, last):
    shim.reset()
    x, gy = tensors(case, torch.float32, last)
    x.copy_(x.round())
    x[torch.rand(x.shape, generator=torch.Generator().manual_seed(3)) < 0.1] = torch.nan
    x[torch.rand(x.shape, generator=torch.Generator().manual_seed(4)) < 0.2] = -torch.inf
    check_max(shim, case, x, gy, last)


@every_layout
@with_types(AVG_CASES)
def test_avg_pool2d(shim, case, dtype, last):
    check_average(shim, case, dtype, last, Tuning())


def check_average(shim, case, dtype, last, tuning):
    shim.reset(schedule=1)
    x, gy = tensors(case, dtype, last)
    got = avg_pool2d(shim, case, x, gy, last, tuning)
    if not x.numel():
        return
    want = gradients(torch_average(case), gy.double(), x.double())
    sizes = gradients(torch_average(case), gy.double().abs(), x.double().abs())
    shape = pool_shape(case, last)
    sums = torch.float64 if dtype == torch.float64 else torch.float32
    for name, g, r, size in zip(("y", "grad_x"), got, want, sizes, strict=True):
        terms = shape.KH * shape.KW if name == "y" else shape.OH * shape.OW
        limit = (2 if sums == torch.float64 else 1) * dot_bound(terms + 1, size.abs(), sums)
        assert_rounded_once(g, r, limit, f"{case.name}, {name}")


@every_layout
@pytest.mark.parametrize("case", AVG_CASES[::3], **ids)
def test_wide_indices(shim, case, last):
    wide = Tuning(wide_index=1)
    check_average(shim, case, torch.float32, last, wide)
    shim.reset()
    check_max(shim, case, *tensors(case, torch.float32, last), last, tuning=wide)
