"""fastconv.convert and revert: other classes, the same objects."""

import pytest
import torch
from reference import assert_all_equal
from seen import Operators
from small_net import Net, X, step
from tensors import fill
from torch import nn

import fastconv


def test_convert_and_revert_keep_everything_but_the_classes():
    model = fill(Net(nn)).eval()
    parameters, state = list(model.parameters()), model.state_dict()
    calls = []
    model.conv1.register_forward_hook(lambda *_: calls.append("forward"))
    model.conv1.register_full_backward_hook(lambda *_: calls.append("backward"))
    model.conv2.train()
    want = step(model, X, parameters)
    assert calls == ["forward", "backward"]
    assert fastconv.convert(model) is model
    assert isinstance(model.conv1, fastconv.Conv2d) and isinstance(model.pool1, fastconv.MaxPool2d)
    assert isinstance(model.pool2, fastconv.AvgPool2d)
    assert isinstance(model.pool3, fastconv.AdaptiveAvgPool2d) and type(model.head) is nn.Linear
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    assert list(model.state_dict()) == list(state)
    assert not model.conv1.training and model.conv2.training
    assert_all_equal(step(model, X, parameters), want)
    assert calls == ["forward", "backward"] * 2
    with Operators() as seen:
        model(X)
    assert seen.names == ["conv2d", "max_pool2d", "conv2d", "avg_pool2d", "adaptive_avg_pool2d"]
    assert fastconv.revert(model) is model
    assert [type(m) for m in model.modules()] == [type(m) for m in Net(nn).modules()]
    with Operators() as seen:
        assert_all_equal(step(model, X, parameters), want)
    assert seen.names == []
    assert calls == ["forward", "backward", "forward", "backward", "forward", "forward", "backward"]


def test_convert_of_the_model_itself_being_a_layer():
    conv = nn.Conv2d(1, 1, 2)
    assert type(fastconv.convert(conv)) is fastconv.Conv2d is type(conv)
    assert type(fastconv.revert(conv)) is nn.Conv2d


def test_convert_twice_is_convert():
    model = fastconv.convert(fastconv.convert(Net(nn)))
    assert [type(m) for m in model.modules()] == [type(m) for m in Net().modules()]


def test_convert_leaves_subclasses_and_relatives_alone():
    class Mine(nn.Conv2d):
        pass

    class MineOfOurs(fastconv.Conv2d):
        pass

    classes = [Mine, MineOfOurs, nn.ConvTranspose3d]
    model = nn.ModuleList(c(1, 1, 1) for c in classes)
    with pytest.warns(UserWarning, match="left 2 of 3"):
        fastconv.convert(model)
    assert [type(m) for m in fastconv.revert(model)] == classes


def test_convert_of_a_layer_used_twice():
    conv = nn.Conv2d(2, 2, 1)
    model = fastconv.convert(nn.Sequential(conv, nn.ReLU(), conv))
    assert model[0] is model[2] and type(model[0]) is fastconv.Conv2d


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_optimizer_goes_on_over_convert(optimizer: type):
    weights = []
    for convert in (lambda model: model, fastconv.convert):
        model = fill(Net(nn))
        steps = optimizer(model.parameters(), lr=2.0**-10)
        for _ in range(2):
            steps.zero_grad()
            model(X).sum().backward()
            steps.step()
            convert(model)
        weights.append([p.detach() for p in model.parameters()])
    if optimizer is torch.optim.SGD:  # multiples of 2**-30 below 2**20: still exact
        assert_all_equal(*weights)
    assert any((a != b).any() for a, b in zip(weights[1], fill(Net(nn)).parameters(), strict=True))
