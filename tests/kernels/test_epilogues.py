"""The end of a convolution in every path: y = clamp(sum + bias + addend). The sum itself is tested
by test_kernels.py and test_winograd.py. Run once per instruction set by test_isa.py."""

import pytest
import torch
from cases import CONV_CASES, ConvCase
from raw_kernels import (
    DTYPES,
    HALVES,
    NUMBERS,
    Conv,
    assert_same,
    buffer,
    in_memory,
    plain_sums,
    supporting,
    unwritten,
)
from reference import WINOGRAD, assert_rounded_once, dot_bound

from fastconv.core.extension import _C

# Each way in which a driver writes y: whole vectors, rests, few channels, few pixels, overlapping
# tiles, chunks of terms, several images in a block.
NAMES = {
    "one pixel", "rows of 7, 7 channels", "rows of 31, 33 channels", "49 channels on short rows",
    "1x1", "1x1 on one pixel", "padding wider than the kernel", "stride 2", "3 groups",
    "depthwise, two filters each", "depthwise, 17 channels, 7x7", "depthwise 7x7, rows of 37",
    "depthwise, stride 2, 33 channels", "groups of 8, rows of 22", "groups of 4, dilated",
    "3 channels to 16 in a group", "no images", "no input channels",
    "1x1, a chunk of terms and one more", "1x1, a block of pixels and one more",
    "5x3, terms in several chunks", "map of 2x2, 9 images", "map of 4x4 to 2x2, 25 images",
    "dilation 2 by 3",
}  # fmt: skip
CASES = [case for case in CONV_CASES if case.name in NAMES] + [
    ConvCase("tiles in lanes", 2, 5, 28, 30, 19, 3, 3, padding=(1, 3, 2, 1)),
    ConvCase("1x1, 32 channels", 2, 19, 9, 11, 32, 1, 1),
    ConvCase("filters private by parts", 1, 260, 8, 8, 260, 3, 3, padding=(1, 1, 1, 1)),
]
PLAIN = plain_sums("forward")
EPILOGUES = {  # with an addend, bounds
    "relu": (False, {"lowest": 0.0}),
    "add": (True, {}),
    "add and relu6": (True, {"lowest": 0.0, "highest": 6.0}),
}


def clamped(y: torch.Tensor, lowest: float | None = None, highest: float | None = None):
    return y if lowest is None and highest is None else y.clamp(lowest, highest)


def test_the_cases_are_there():
    assert len(CASES) == len(NAMES) + 3
    shapes = [Conv(case, DTYPES[0], "nchw").shape for case in CASES]
    paths = {path for shape in shapes for path in supporting("forward", shape)}
    assert paths == set(_C.conv2d_paths("forward"))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_fused_is_bit_for_bit_what_follows_one_another(case, layout, dtype):
    """The sum of float32 and float64 is stored as it is summed, so that nothing is rounded between.
    NaN and infinity pass, of x and of the addend; so do results that Winograd has to give up."""
    for extreme in (False, True):
        conv = Conv(case, dtype, layout)
        addend = torch.randn(conv.y_size, dtype=dtype)
        if extreme and addend.numel() and conv.x.numel():
            addend.view(-1)[::7], addend.view(-1)[::11] = float("nan"), -float("inf")
            conv.x.view(-1)[conv.x.numel() // 2] = -1e30
            conv.x.view(-1)[-1] = float("nan")
        for path in supporting("forward", conv.shape, NUMBERS[dtype]):
            sums = conv.run("forward", path)["forward"]
            for added, bounds in EPILOGUES.values():
                fused = conv.run("forward", path, 3, addend if added else None, **bounds)
                want = clamped(sums + addend if added else sums, **bounds)
                assert_same(fused["forward"], want)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_16_bit_types_are_rounded_once(case, layout, dtype):
    """Clamping moves no two numbers apart, so the bound is that of the sum with one more term."""
    conv = Conv(case, dtype, layout)
    addend = torch.randn(conv.y_size, dtype=dtype)
    for path in supporting("forward", conv.shape, NUMBERS[dtype]):
        for name, (added, bounds) in EPILOGUES.items():
            fused = conv.run("forward", path, 3, addend if added else None, **bounds)["forward"]
            exact, size = conv.exact["forward"], conv.magnitude["forward"]
            if added:
                exact, size = exact + addend.double(), size + addend.double().abs()
            if path not in PLAIN:
                size = WINOGRAD * size.amax()
            bound = dot_bound(conv.terms("forward") + 1, size, torch.float32)
            assert_rounded_once(fused, clamped(exact, **bounds), bound, f"{path}: {name}")


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_a_bit_that_the_stored_type_has_not_reaches_the_addend(dtype, layout):
    """large + 1 lies between two numbers of the type; large + 1 - large is 1."""
    large = 2 / torch.finfo(dtype).eps
    for groups in (1, 16):
        case = ConvCase("", 3, 16, 9, 9, 16, 3, 3, padding=(1, 1, 1, 1), groups=groups)
        conv = Conv(case, dtype, layout)
        w = torch.zeros(case.weight_size, dtype=dtype)
        w[range(16), range(16) if groups == 1 else 0, 1, 1] = 1
        conv.x.fill_(1)
        conv.w = in_memory(w, layout == "nhwc")
        conv.bias.fill_(large)
        addend = torch.full(conv.y_size, -large, dtype=dtype)
        for path in supporting("forward", conv.shape, NUMBERS[dtype]):
            assert (conv.run("forward", path, addend=addend)["forward"] == 1).all(), path


def test_winograd_looks_at_sums_before_they_are_clamped():
    """A result beyond the range of Winograd's transforms spoils the others of its tile. A ReLU6
    must not hide it."""
    case = ConvCase("", 1, 3, 12, 12, 4, 3, 3, padding=(1, 1, 1, 1))
    for layout in ("nchw", "nhwc"):
        conv = Conv(case, torch.float32, layout)
        conv.x.view(-1)[100] = 1e30
        plain = conv.run("forward", "gemm")["forward"]  # which runs instead
        fused = conv.run("forward", "winograd", lowest=0.0, highest=6.0)["forward"]
        assert torch.equal(fused, plain.clamp(0, 6))


def test_depthwise_past_the_caches():
    """Outputs of 4 MB and more, whose stores pass the caches."""
    case = ConvCase("", 1, 64, 136, 136, 64, 3, 3, padding=(1, 1, 1, 1), groups=64)
    conv = Conv(case, torch.float32, "nhwc")
    addend = torch.randn(conv.y_size)
    y = conv.run("forward", "depthwise")["forward"]
    assert y.numel() * 4 >= 4 << 20
    fused = conv.run("forward", "depthwise", addend=addend, lowest=0.0)["forward"]
    assert torch.equal(fused, (y + addend).relu())


def test_wrong_epilogues_are_refused():
    conv = Conv(CASES[1], torch.float32, "nchw")
    y, more = unwritten(conv.y_size, conv.dtype), unwritten((10_000,), conv.dtype)

    def run(**epilogue):
        _C.conv2d_forward(NUMBERS[conv.dtype], conv.shape, buffer(conv.x), buffer(conv.w), None,
                          buffer(y), 1, **epilogue)  # fmt: skip

    run(addend=buffer(y.clone()))
    with pytest.raises(
        ValueError, match=f"addend holds 10000 elements, but the shape has {len(y)}"
    ):
        run(addend=buffer(more))
    for name in ("lowest", "highest"):
        with pytest.raises(ValueError, match="not a number"):
            run(**{name: float("nan")})
    run(lowest=2.0, highest=1.0)  # as torch: the highest wins
    assert (y == 1).all()
