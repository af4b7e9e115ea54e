"""CUDA convolution, executed by the SIMT shim, beside torch in float64: every kernel, type and
layout. The bounds are those of sums in the type that the kernels sum in, rounded once."""

import os

import pytest
import torch
from cases import CONV_CASES, ConvCase
from cuda_calls import CHOSEN, DEPTHWISE, DIRECT, GEMM, conv2d, dense
from cuda_shim import DTYPES, Tuning
from reference import assert_rounded_once, dot_bound, gradients

SWEEP = os.environ.get("FASTCONV_CUDA_SWEEP", "0") != "0"
F = torch.nn.functional


def same(pad):
    return pad, pad, pad, pad


# Around the tiles of the kernels: 64 pixels, 64 channels, 16 terms; 32 channels of a warp, vectors
# of 2, 4 and 8 channels, 9 and 25 taps, 4 rows.
TILE_CASES = [
    *(ConvCase(f"{n} pixels, {n} channels", 1, 3, 1, n, n, 1, 1) for n in (63, 64, 65)),
    *(ConvCase(f"{n} terms", 1, n, 3, 3, 5, 1, 1) for n in (15, 16, 17, 31, 33)),
    ConvCase("terms of 3x3 at a tile", 1, 16, 5, 5, 3, 3, 3, padding=same(1)),
    ConvCase("2 groups of 65 channels", 1, 6, 4, 4, 130, 1, 1, groups=2),
    ConvCase("first layer", 1, 3, 13, 13, 64, 7, 7, (2, 2), same(3)),
    ConvCase("one input channel", 2, 1, 11, 11, 6, 5, 5),
    *(
        ConvCase(f"depthwise, {c} channels", 2, c, 6, 5, c, 3, 3, padding=same(1), groups=c)
        for c in (2, 8, 16, 31, 32, 33)
    ),
    ConvCase("depthwise 5x5", 1, 4, 9, 9, 4, 5, 5, padding=same(2), groups=4),
    ConvCase("depthwise 7x7, stride 2", 1, 8, 11, 12, 8, 7, 7, (2, 2), same(3), groups=8),
    ConvCase("depthwise 3x3, stride 2", 2, 8, 9, 9, 8, 3, 3, (2, 2), same(1), groups=8),
    ConvCase("depthwise, dilated", 1, 8, 9, 11, 8, 3, 3, (1, 1), same(2), (2, 2), 8),
    ConvCase("depthwise, stride 3 by 2, dilation 2 by 3", 1, 4, 13, 14, 4, 3, 2, (3, 2), same(2),
             (2, 3), 4),
    ConvCase("depthwise, stride 5 by 4", 1, 4, 9, 11, 4, 3, 6, (5, 4), same(2), groups=4),
    ConvCase("depthwise, three filters each", 1, 3, 5, 5, 9, 3, 3, padding=same(1), groups=3),
    ConvCase("depthwise on one pixel", 3, 5, 1, 1, 5, 1, 1, groups=5),
]  # fmt: skip
# torch has no gradients for convolutions without input channels
CASES = [c for c in CONV_CASES if c.IC] + TILE_CASES
SOME = [c for i, c in enumerate(CASES) if SWEEP or c in TILE_CASES[-15:-4] or i % 8 == 0]


def tensors(case, dtype, lasts, with_bias=True):
    generator = torch.Generator().manual_seed(len(case.name))
    x, w, gy = (
        dense(size, dtype, last, generator)
        for size, last in zip(
            (case.input_size, case.weight_size, case.output_size), lasts, strict=True
        )
    )
    bias = torch.randn(case.OC, generator=generator, dtype=torch.float64).to(dtype)
    return x, w, bias if with_bias else None, gy


TF32 = 2.0**-11  # how far rounding to 10 bits behind the point may move a factor


def reference(case, x, w, bias, gy, tuning=None):
    """torch in float64, and bounds element by element."""
    top, bottom, left, right = case.padding

    def convolution(x, w, bias):
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, w, bias, case.stride, 0, case.dilation, case.groups)

    exact = [None if t is None else t.double() for t in (gy, x, w, bias)]
    want = gradients(convolution, *exact)
    of_absolutes = gradients(convolution, *(None if t is None else t.abs() for t in exact))
    sums = torch.float64 if x.dtype == torch.float64 else torch.float32
    outputs = gy.numel() // max(case.OC, 1)
    taps = case.KH * case.KW
    terms = [case.IC // case.groups * taps + 1, case.OC // case.groups * taps, outputs, outputs]
    # In float64 the reference has rounded as often.
    both = 2 if sums == torch.float64 else 1
    limits = [
        None if t is None else both * dot_bound(n, t, sums)
        for n, t in zip(terms, of_absolutes, strict=True)
    ]
    if tuning and tuning.tf32:
        pairs = zip(limits[:3], of_absolutes[:3], strict=True)
        limits[:3] = [limit + (2 * TF32 + TF32**2) * t for limit, t in pairs]
    return want, limits


def check(shim, case, dtype, lasts, schedule=0, with_bias=True, **how):
    shim.reset(schedule)
    x, w, bias, gy = tensors(case, dtype, lasts, with_bias)
    got = conv2d(shim, case, x, w, bias, gy, lasts, **how)
    want, limits = reference(case, x, w, bias, gy, how.get("tuning"))
    names = ("y", "grad_x", "grad_w", "grad_bias")
    for name, g, r, limit in zip(names, got, want, limits, strict=True):
        if g is not None:
            assert_rounded_once(g, r, limit, f"{case.name}, {name}")
    return got


ids = dict(ids=lambda v: getattr(v, "name", None) or str(v).removeprefix("torch."))


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("case", CASES, **ids)
def test_float32(shim, case, last):
    check(shim, case, torch.float32, (last,) * 3, schedule=len(case.name))


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", [t for t in DTYPES if t != torch.float32], **ids)
@pytest.mark.parametrize("case", SOME, **ids)
def test_other_types(shim, case, dtype, last):
    check(shim, case, dtype, (last,) * 3, schedule=1)


@pytest.mark.parametrize("lasts", [(True, False, False), (False, True, True), (True, False, True)])
@pytest.mark.parametrize(
    "case", [c for c in TILE_CASES if c.IW > 1][-10:] + CONV_CASES[10:15], **ids
)
def test_mixed_layouts(shim, case, lasts):
    check(shim, case, torch.float32, lasts, with_bias=False)


DEPTHWISE_CASES = [c for c in CASES if c.groups == c.IC and c.groups > 1]


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("case", DEPTHWISE_CASES[:: 1 if SWEEP else 2], **ids)
@pytest.mark.parametrize("how", ["wide_index", "misaligned", "split", "gemm"])
def test_other_ways_of_depthwise(shim, case, last, how):
    family = GEMM if how == "gemm" else DEPTHWISE
    tuning = Tuning(wide_index=how == "wide_index", splits=3 if how == "split" else 0)
    offset = 1 if how == "misaligned" else 0  # no vectors then
    check(shim, case, torch.float32, (last,) * 3, 2, tuning=tuning, family=family, offset=offset)


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("splits", [2, 128])
@pytest.mark.parametrize("case", [CONV_CASES[i] for i in (3, 11, 20, 28)], **ids)
def test_split_sums(shim, case, splits, last):
    check(shim, case, torch.float32, (last,) * 3, tuning=Tuning(splits=splits), family=CHOSEN)


TENSOR_CASES = [
    ConvCase("8 channels, one pixel", 1, 8, 1, 1, 8, 1, 1),
    *(ConvCase(f"{n} pixels", 1, 16, 1, n, 64, 1, 1) for n in (63, 65)),
    *(ConvCase(f"{n} channels in, 72 out", 1, n, 3, 3, 72, 1, 1) for n in (32, 40, 72)),
    ConvCase("3x3", 2, 8, 9, 7, 16, 3, 3, padding=same(1)),
    ConvCase("3x3, stride 2", 1, 40, 9, 9, 8, 3, 3, (2, 2), same(1)),
    ConvCase("dilated, uneven", 1, 8, 11, 9, 8, 3, 2, (1, 2), (2, 1, 0, 3), (2, 3)),
    ConvCase("3 groups", 1, 24, 6, 6, 24, 3, 3, padding=same(1), groups=3),
    ConvCase("17 channels out, which are no vectors", 1, 8, 6, 6, 17, 3, 3),
    ConvCase("7 channels in, which are no vectors", 1, 7, 6, 6, 8, 3, 3),
]


LOW = [torch.float16, torch.bfloat16, torch.float32]  # float32 as TF32


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", LOW, **ids)
@pytest.mark.parametrize("case", TENSOR_CASES, **ids)
def test_tensor_cores(shim, case, dtype, last):
    tuning = Tuning(tensor_cores=80, tf32=dtype is torch.float32, splits=2)
    check(shim, case, dtype, (last,) * 3, len(case.name), tuning=tuning, family=GEMM)


@pytest.mark.parametrize("lasts", [(True, False, False), (False, True, True), (True, False, True)])
@pytest.mark.parametrize("case", [TENSOR_CASES[i] for i in (8, 9)], **ids)
def test_tensor_cores_in_mixed_layouts(shim, case, lasts):
    check(shim, case, torch.float16, lasts, tuning=Tuning(tensor_cores=80), with_bias=False)


@pytest.mark.parametrize("dtype", LOW[::2], **ids)
def test_vectors_that_are_not_aligned_take_other_kernels(shim, dtype):
    tuning = Tuning(tensor_cores=80, tf32=1)
    check(shim, TENSOR_CASES[6], dtype, (True,) * 3, 3, tuning=tuning, offset=1)


# Around the tiles of a first layer: 64 taps, 256 pixels and 64 channels in forward; 32 taps, 64
# pixels and 32 channels in backward_weight; vectors of 2 and 4 channels.
FIRST_CASES = [
    ConvCase("one pixel, 1 channel", 1, 1, 1, 1, 1, 1, 1),
    ConvCase("64 pixels, 32 channels out", 1, 4, 8, 8, 32, 1, 1),
    ConvCase("65 pixels, 33 channels out", 1, 4, 5, 13, 33, 1, 1),
    *(ConvCase(f"{n} pixels, 6 channels out", 1, 2, 1, n, 6, 1, 1) for n in (255, 257)),
    *(ConvCase(f"1x{n} taps", 1, 1, 2, n + 2, 5, 1, n) for n in (31, 33, 63, 64, 65)),
    ConvCase("RGB, 3x3", 2, 3, 9, 7, 66, 3, 3, padding=same(1)),
    ConvCase("RGB, 7x7, stride 2", 1, 3, 13, 11, 8, 7, 7, (2, 2), same(3)),
    ConvCase("4 channels, dilated, uneven", 1, 4, 11, 9, 10, 3, 2, (1, 2), (2, 1, 0, 3), (2, 3)),
]


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("case", FIRST_CASES, **ids)
def test_first_layers(shim, case, last):
    """By the direct kernels, by the matrix product, and on tensor cores; each type has its turn."""
    dtype = list(DTYPES)[len(case.name) % 4]
    for schedule, kind in enumerate(DTYPES if SWEEP else {torch.float32, dtype}):
        tuning = Tuning(splits=schedule + 1)
        check(shim, case, kind, (last,) * 3, schedule, tuning=tuning, family=DIRECT)
    check(shim, case, torch.float32, (last,) * 3, 1, family=GEMM)
    check(shim, case, torch.float16, (last,) * 3, 2, tuning=Tuning(tensor_cores=75))


@pytest.mark.parametrize("lasts", [(True, False, False), (False, True, True), (True, False, True)])
@pytest.mark.parametrize("offset", [0, 1], ids=["aligned", "misaligned"])
def test_first_layers_in_mixed_layouts(shim, lasts, offset):
    check(shim, FIRST_CASES[-1], torch.float32, lasts, family=DIRECT, offset=offset)


def requests(shim, dtype, tuning, last, IC=8, family=CHOSEN):
    """How many requests to shared memory a call makes: it tells the kernels apart."""
    shim.reset(counting=True)
    case = ConvCase(f"{IC} channels", 1, IC, 5, 5, 8, 3, 3)
    x, w, bias, gy = tensors(case, dtype, (last,) * 3)
    conv2d(shim, case, x, w, bias, gy, (last,) * 3, tuning, family)
    return shim.counters()["shared_requests"]


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
def test_tensor_cores_are_used_where_the_device_has_them(shim, last):
    """float16 from sm_75 on, bfloat16 from sm_80 on, float32 where TF32 is allowed."""
    for dtype, least, tf32 in ((torch.float16, 75, 0), (torch.bfloat16, 80, 0),
                               (torch.float32, 80, 1)):  # fmt: skip
        plain = requests(shim, dtype, Tuning(), last)
        below = Tuning(tensor_cores=least - 5, tf32=tf32)
        assert requests(shim, dtype, below, last) == plain
        assert requests(shim, dtype, Tuning(tensor_cores=least, tf32=tf32), last) != plain
    plain = requests(shim, torch.float32, Tuning(), last)
    assert requests(shim, torch.float32, Tuning(tensor_cores=90), last) == plain


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
def test_first_layers_take_the_direct_kernels_or_tensor_cores(shim, last):
    def of(IC, family, cores=0, dtype=torch.float32):
        return requests(shim, dtype, Tuning(tensor_cores=cores), last, IC, family)

    assert of(4, CHOSEN) == of(4, DIRECT) != of(4, GEMM)
    assert of(5, CHOSEN) == of(5, GEMM)
    # backward_weight of grad_y in channels_last stays with the direct kernel
    on_cores = of(4, CHOSEN, 80, torch.float16)
    assert on_cores != of(4, DIRECT, 80, torch.float16)
    assert (on_cores == of(4, GEMM, 80, torch.float16)) != last


@pytest.mark.parametrize(
    "case", [TILE_CASES[1], TILE_CASES[8], TILE_CASES[16], TILE_CASES[18]], **ids
)
def test_results_do_not_depend_on_the_schedule(shim, case):
    results = [
        check(shim, case, torch.float32, (True,) * 3, schedule, tuning=Tuning(splits=4))
        for schedule in (0, 1, 7)
    ]
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
def test_without_input_channels_y_is_the_bias(shim, last):
    (case,) = (c for c in CONV_CASES if c.IC == 0)
    shim.reset()
    x, w, bias, gy = tensors(case, torch.float32, (last,) * 3)
    y, *_ = conv2d(shim, case, x, w, bias, gy, (last,) * 3)
    assert torch.equal(y, bias.view(1, -1, 1, 1).expand(y.shape))
