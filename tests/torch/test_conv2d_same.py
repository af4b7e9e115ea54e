"""Conv2dSame of both layer sets: beside torch.nn.Conv2d(padding="same"), and where that refuses.

Whole numbers in float64: sums are exact, so everything must be equal.
"""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from seen import Operators
from tensors import fill, whole
from torch import Tensor, nn

import fastconv
from fastconv import models

SETS = {name: models.layer_set(name).Conv2dSame for name in models.LAYER_SETS}
MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
KERNELS = [(1, 1), (3, 1), (4, 1), (2, 3), ((2, 5), (3, 1)), (7, 2)]  # size, dilation


def step(conv: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    with warnings.catch_warnings():  # torch: an even kernel "may require a zero-padded copy"
        warnings.filterwarnings("ignore", "Using padding='same'")
        y = conv(x)
    return [y.detach(), *torch.autograd.grad(y.square().sum(), [x, *conv.parameters()])]


@pytest.mark.parametrize("layers", SETS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_it_is_torchs_with_padding_same(layers: str, mode: str, kernel: tuple):
    size, dilation = kernel
    ours = fill(SETS[layers](4, 6, size, dilation, 2, padding_mode=mode))
    torchs = fill(
        nn.Conv2d(
            4, 6, size, padding="same", dilation=dilation, groups=2, padding_mode=mode, bias=True
        )
    )
    for x in (whole(2, 4, 14, 17), whole(4, 14, 17)):
        got, want = step(ours, x), step(torchs, x)
        assert got[0].shape[-2:] == x.shape[-2:]
        for a, b in zip(got, want, strict=True):
            assert torch.equal(a, b)
    if layers == "fastconv":
        with Operators() as seen:
            ours(whole(2, 4, 14, 17))
        assert seen.names == ["conv2d"]


@pytest.mark.parametrize("layers", SETS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("extents", [(1, 1), (1, 2), (2, 3), (3, 7), (5, 1)], ids=str)
def test_images_smaller_than_their_padding(layers: str, mode: str, kernel: tuple, extents: tuple):
    """numpy.pad goes on to and fro, or round and round, as Conv2dSame does."""
    size, dilation = kernel
    conv = fill(SETS[layers](3, 2, size, dilation, padding_mode=mode))
    x = whole(2, 3, *extents)
    amounts = []
    for d, k in zip(conv.dilation, conv.kernel_size, strict=True):
        total = d * (k - 1)
        amounts.append((total // 2, total - total // 2))
    padded = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), *amounts), MODES[mode]))
    want = nn.functional.conv2d(padded, conv.weight, conv.bias, dilation=conv.dilation)
    got = step(conv, x)
    assert torch.equal(got[0], want) and want.shape[2:] == extents
    assert torch.equal(step(conv, x[0])[0], want[0])


def test_gradients_through_padding_by_index():
    conv = fastconv.Conv2dSame(1, 1, 5, padding_mode="reflect").double()
    x = torch.randn(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(conv, (x,))


@pytest.mark.parametrize("mode", ["reflect", "circular"])
def test_empty_images_are_refused_as_torch_does(mode: str):
    errors = []
    for conv in (
        fastconv.Conv2dSame(1, 1, 3, padding_mode=mode),
        nn.Conv2d(1, 1, 3, padding="same", padding_mode=mode),
    ):
        with pytest.raises(RuntimeError) as caught:
            conv(torch.ones(1, 1, 0, 4))
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


def test_weights_and_state_dict_are_torchs():
    states = []
    for build in (*SETS.values(), lambda *given: nn.Conv2d(*given, padding="same")):
        torch.manual_seed(3)
        conv = build(4, 6, 3)
        states.append(conv.state_dict())
        assert "padding=same" in repr(conv) and conv.stride == (1, 1)
    for state in states[1:]:
        assert list(state) == list(states[0])
        assert all(torch.equal(state[key], states[0][key]) for key in state)
        SETS["fastconv"](4, 6, 3).load_state_dict(state)


@pytest.mark.parametrize("layers", SETS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_and_pickles(layers: str, duplicate):
    conv = fill(SETS[layers](3, 2, 4, padding_mode="reflect", bias=False))
    other = duplicate(conv)
    assert type(other) is type(conv) and torch.equal(
        other(whole(1, 3, 5, 5)), conv(whole(1, 3, 5, 5))
    )


def test_convert_and_revert():
    model = nn.Sequential(fill(fastconv.Conv2dSame(3, 2, 4, padding_mode="reflect")))
    x = whole(2, 3, 9, 9)
    want = model(x)
    assert type(fastconv.convert(model)[0]) is fastconv.Conv2dSame
    assert type(fastconv.revert(model)[0]) is nn.Conv2d and torch.equal(model(x), want)
    assert type(fastconv.convert(model)[0]) is fastconv.Conv2d and torch.equal(model(x), want)


def test_no_stride_and_no_padding_to_choose():
    for name in ("stride", "padding"):
        with pytest.raises(TypeError, match=name):
            fastconv.Conv2dSame(1, 1, 3, **{name: 1})
    conv = fastconv.Conv2dSame(2, 4, 3, 2, 2, False, "circular", "cpu", torch.float64)
    assert (conv.dilation, conv.groups, conv.bias, conv.padding_mode) == (
        (2, 2),
        2,
        None,
        "circular",
    )
    assert conv.weight.dtype is torch.float64
    assert nn.utils.skip_init(fastconv.Conv2dSame, 2, 3, 2).weight.shape == (3, 2, 2, 2)


@pytest.mark.parametrize("mode", MODES)
def test_compile_and_export(mode: str, fresh_compiler):
    conv = fill(fastconv.Conv2dSame(3, 2, 4, padding_mode=mode))
    for x in (whole(2, 3, 9, 9), whole(2, 3, 2, 2)):
        compiled = torch.compile(conv, backend="aot_eager", fullgraph=True)
        assert torch.equal(compiled(x), conv(x))
        assert torch.equal(torch.export.export(conv, (x,)).module()(x), conv(x))
