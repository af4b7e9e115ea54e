"""The modules in other types, on other devices, in other memory formats, and under autocast."""

import pytest
import torch
from reference import assert_all_equal
from small_net import Net, X, step
from tensors import fill, whole
from torch import nn

import fastconv
from fastconv import functional


def test_channels_last_model():
    want = step(fill(Net(nn)), X, [])
    for x in (X, X.contiguous(memory_format=torch.channels_last)):
        model = fill(Net()).to(memory_format=torch.channels_last)
        y = model.conv1(x)
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert model.pool1(y).is_contiguous(memory_format=torch.channels_last)
        assert_all_equal(step(model, x, []), want)
        model(x).sum().backward()
        for p in model.parameters():
            assert p.grad.stride() == p.stride()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_short_modules(dtype: torch.dtype):
    model = fill(Net()).to(dtype)
    x = X.to(dtype).requires_grad_()
    want = functional.conv2d(x, model.conv1.weight, model.conv1.bias, padding=1)
    assert torch.equal(model.conv1(x), want) and want.dtype is dtype
    y = model(x)
    y.sum().backward()
    assert y.dtype is x.grad.dtype is dtype
    assert all(p.grad.dtype is dtype for p in model.parameters())
    assert torch.equal(model.conv1(x).double(), fill(Net(nn)).conv1(X))  # small whole numbers


def test_half_method():
    conv = fastconv.Conv2d(2, 3, 2).half()
    assert conv(torch.ones(1, 2, 4, 4).half()).dtype is torch.float16


def test_meta_construction_and_to_empty():
    model = Net()
    with torch.device("meta"):
        hollow = Net()
    assert all(p.is_meta for p in hollow.parameters())
    assert hollow(torch.empty(1, 2, 13, 13, device="meta")).shape == (1, 3)
    hollow.to_empty(device="cpu")
    hollow.load_state_dict(model.state_dict())
    x = X.float()
    assert torch.equal(hollow(x), model(x))
    assert fastconv.Conv2d(1, 1, 1, device="meta").weight.is_meta
    assert model.to("meta").conv1.weight.is_meta


def test_skip_init():
    conv = nn.utils.skip_init(fastconv.Conv2d, 2, 3, 2)
    assert type(conv) is fastconv.Conv2d and conv.weight.shape == (3, 2, 2, 2)


def test_default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        assert fastconv.Conv2d(1, 1, 1)(torch.ones(1, 1, 2, 2)).dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_of_conv2d(dtype: torch.dtype):
    ours, torchs = (fill(p.Conv2d(2, 4, 2)).float() for p in (fastconv, nn))
    x = X.float()
    with torch.autocast("cpu", dtype):
        y, like = ours(x), torchs(x)
        assert y.dtype is like.dtype is dtype
        assert torch.equal(y, like)  # whole numbers below 256: exact in both types
        with torch.autocast("cpu", enabled=False):
            assert ours(x).dtype is torchs(x).dtype is torch.float32
        assert ours(x).dtype is dtype
    y.sum().backward()
    assert ours.weight.grad.dtype is ours.bias.grad.dtype is torch.float32
    assert ours(x).dtype is torch.float32


def test_autocast_of_every_type_is_torchs():
    types = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
    for x_type in types:
        for w_type in types:
            for bias_type in (None, *types):
                x, w = X.to(x_type), whole(3, 2, 2, 2).to(w_type)
                b = None if bias_type is None else whole(3).to(bias_type)
                outcomes = []
                for conv in (functional.conv2d, nn.functional.conv2d):
                    with torch.autocast("cpu", torch.bfloat16):
                        try:
                            outcomes.append(conv(x, w, b).dtype)
                        except RuntimeError as error:
                            outcomes.append(str(error))
                assert outcomes[0] == outcomes[1], (x_type, w_type, bias_type)


def test_autocast_leaves_pools_alone():
    pools = {"MaxPool2d": (2,), "AvgPool2d": (2,), "AdaptiveAvgPool2d": (2,)}
    for name, args in pools.items():
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            with torch.autocast("cpu", torch.bfloat16):
                y, like = (getattr(p, name)(*args)(X.to(dtype)) for p in (fastconv, nn))
            assert y.dtype is like.dtype


def test_autocast_training_step():
    models = [fill(Net(p)).float() for p in (fastconv, nn)]
    for model in models:
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(X.float()).float().sum()
        loss.backward()
        assert all(p.grad.dtype is torch.float32 for p in model.parameters())
    signs = [torch.sign(m.head.bias.grad) for m in models]
    assert torch.equal(*signs)
