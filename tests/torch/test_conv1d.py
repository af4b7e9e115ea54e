"""conv1d and Conv1d beside torch's, whose values, strides and errors they share.

The tables of test_modules.py have Conv1d too. Whole numbers in float64, as there: sums are exact.
"""

import pytest
import torch
from reference import assert_within, dot_bound
from seen import Operators
from tensors import whole
from torch import Tensor, nn

import fastconv
from fastconv.functional import conv1d

F = nn.functional

# name: input size, weight size, keywords
CASES = {
    "defaults": ((3, 4, 23), (6, 4, 5), {}),
    "all": ((2, 4, 23), (6, 2, 3), {"stride": 2, "padding": 3, "dilation": 4, "groups": 2}),
    "tuples": ((2, 4, 23), (6, 4, 3), {"stride": (3,), "padding": (1,), "dilation": [2]}),
    "same": ((2, 4, 9), (6, 4, 4), {"padding": "same", "dilation": 3}),
    "valid": ((2, 4, 9), (6, 4, 4), {"padding": "valid"}),
    "one_channel": ((3, 1, 40), (6, 1, 5), {}),
    "kernel_1": ((3, 4, 17), (5, 4, 1), {}),
    "output_1": ((3, 4, 5), (6, 4, 5), {}),
    "depthwise": ((2, 4, 16), (8, 1, 3), {"groups": 4, "padding": 1}),
    "unbatched": ((4, 23), (6, 4, 5), {"padding": 2}),
    "no_batch": ((0, 4, 23), (6, 4, 5), {}),
}


def gradients(function, *tensors: Tensor, **kwargs) -> list[Tensor]:
    leaves = [t.clone(memory_format=torch.preserve_format).requires_grad_() for t in tensors]
    y = function(*leaves, **kwargs)
    return [y.detach(), *torch.autograd.grad(y.square().sum(), leaves)]


@pytest.mark.parametrize("name", CASES)
def test_forward_and_backward(name: str):
    x_size, w_size, kwargs = CASES[name]
    tensors = whole(*x_size), whole(*w_size), whole(w_size[0])
    fastconv.handovers(reset=True)
    got = gradients(conv1d, *tensors, **kwargs)
    assert fastconv.handovers() == {}
    for ours, torchs in zip(got, gradients(F.conv1d, *tensors, **kwargs), strict=True):
        assert torch.equal(ours, torchs) and ours.stride() == torchs.stride()
    without_bias = conv1d(*tensors[:2], **kwargs)
    assert torch.equal(without_bias, F.conv1d(*tensors[:2], **kwargs))


def test_it_is_a_conv2d():
    with Operators() as seen:
        conv1d(whole(2, 4, 23), whole(6, 4, 5))
    assert seen.names == ["conv2d"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_types(dtype: torch.dtype):
    x, w = whole(2, 4, 23).to(dtype), torch.randn(6, 4, 5).to(dtype)
    y = conv1d(x, w)
    exact, sizes = (F.conv1d(a.double(), b.double()) for a, b in ((x, w), (x.abs(), w.abs())))
    assert y.dtype is dtype
    assert_within(y, exact, dot_bound(20, sizes.max().item(), dtype))


@pytest.mark.parametrize("transposed", [0, 1], ids=["input", "weight"])
def test_output_is_contiguous_whatever_is_transposed(transposed: int):
    """As torch's is for a transposed input; for a transposed weight torch's depends on the type."""
    tensors = [whole(2, 4, 23), whole(6, 4, 5)]
    tensors[transposed] = tensors[transposed].transpose(1, 2).contiguous().transpose(1, 2)
    got, want = gradients(conv1d, *tensors), gradients(F.conv1d, *tensors)
    for ours, torchs in zip(got, want, strict=True):
        assert torch.equal(ours, torchs)
    assert got[0].is_contiguous()


X, W = torch.ones(2, 4, 9), torch.ones(6, 4, 3)
# name: all seven arguments
WRONG = {
    "input_1d": (torch.ones(4), W, None, 1, 0, 1, 1),
    "input_4d": (torch.ones(2, 4, 9, 9), W, None, 1, 0, 1, 1),
    "input_none": (None, W, None, 1, 0, 1, 1),
    "weight_2d": (X, torch.ones(6, 4), None, 1, 0, 1, 1),
    "weight_4d": (X, torch.ones(6, 4, 3, 1), None, 1, 0, 1, 1),
    "weight_type": (X, W.double(), None, 1, 0, 1, 1),
    "weight_list": (X, [1.0], None, 1, 0, 1, 1),
    "channels": (X, torch.ones(6, 3, 3), None, 1, 0, 1, 1),
    "bias_length": (X, W, torch.ones(5), 1, 0, 1, 1),
    "bias_type": (X, W, torch.ones(6).double(), 1, 0, 1, 1),
    "row_too_short": (torch.ones(2, 4, 2), W, None, 1, 0, 1, 1),
    "stride_0": (X, W, None, 0, 0, 1, 1),
    "stride_pair": (X, W, None, (1, 2), 0, 1, 1),
    "stride_float": (X, W, None, 1.5, 0, 1, 1),
    "padding_negative": (X, W, None, 1, -1, 1, 1),
    "padding_pair": (X, W, None, 1, (0, 1), 1, 1),
    "padding_word": (X, W, None, 1, "full", 1, 1),
    "same_strided": (X, W, None, 2, "same", 1, 1),
    "dilation_0": (X, W, None, 1, 0, 0, 1),
    "groups_0": (X, W, None, 1, 0, 1, 0),
    "groups_3": (X, W, None, 1, 0, 1, 3),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_torchs(name: str):
    fastconv.handovers(reset=True)
    messages = []
    for function in (conv1d, F.conv1d):
        with pytest.raises((RuntimeError, TypeError, ValueError)) as caught:
            function(*WRONG[name])
        messages.append((caught.type, str(caught.value)))
    assert messages[0] == messages[1]
    assert fastconv.handovers() == {}


def test_handovers():
    fastconv.handovers(reset=True)
    y = conv1d(X.int(), W.int())
    assert torch.equal(y, F.conv1d(X.int(), W.int()))
    conv1d(X.to("meta"), W.to("meta"))
    assert fastconv.handovers(reset=True) == {("conv1d", "dtype"): 1, ("conv1d", "device"): 1}


def test_autocast():
    outcomes = []
    for function in (conv1d, F.conv1d):
        for types in ((torch.float32, torch.float32), (torch.bfloat16, torch.float32)):
            with torch.autocast("cpu", torch.bfloat16):
                y = function(X.to(types[0]), W.to(types[1]))
            outcomes.append((y.dtype, y.tolist()))
    assert outcomes[:2] == outcomes[2:] and outcomes[0][0] is torch.bfloat16


@pytest.mark.parametrize("padding_mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [2, "same"], ids=str)
def test_padding_modes(padding_mode: str, padding: int | str):
    results = []
    for package in (fastconv, nn):
        torch.manual_seed(5)
        conv = package.Conv1d(4, 6, 4, padding=padding, padding_mode=padding_mode).double()
        with torch.no_grad():
            for p in conv.parameters():
                p.copy_((8 * p).round())
        x = whole(2, 4, 9)
        results.append([conv(x), conv(x[0])])
    for ours, torchs in zip(*results, strict=True):
        assert torch.equal(ours, torchs)


def test_convert_and_revert():
    model = nn.Sequential(nn.Conv1d(4, 6, 3, padding=1), nn.ReLU(), nn.Conv1d(6, 2, 1)).double()
    x, parameters = whole(2, 4, 9), list(model.parameters())
    want = model(x)
    assert type(fastconv.convert(model)[0]) is fastconv.Conv1d
    with Operators() as seen:
        got = model(x)
    assert seen.names == ["conv2d", "conv2d"]
    assert_within(got, want, dot_bound(12 + 18, 100.0, x.dtype))
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    assert type(fastconv.revert(model)[0]) is nn.Conv1d


def test_compile_export_and_trace(fresh_compiler):
    conv = fastconv.Conv1d(4, 6, 3, padding=1).double()
    x = whole(2, 4, 9)
    want = conv(x)
    assert torch.equal(torch.compile(conv, backend="aot_eager", fullgraph=True)(x), want)
    assert torch.equal(torch.export.export(conv, (x,)).module()(x), want)
    assert torch.equal(torch.fx.symbolic_trace(conv)(x), want)
    assert torch.autograd.gradcheck(conv1d, (x.clone().requires_grad_(), conv.weight))
