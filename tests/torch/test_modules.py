"""The modules as the objects that torch.nn has: attributes, seeds, state, pickles, values."""

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from reference import assert_all_equal, dot_bound
from small_net import Net, X, step
from tensors import fill, whole
from torch import nn

import fastconv

# name: (class, arguments, keywords)
MODULES = {
    "conv": ("Conv2d", (3, 8, 3), {}),
    "conv_same": ("Conv2d", (4, 6, 3), {"padding": "same"}),
    "conv_full": (
        "Conv2d",
        (4, 6, (3, 2)),
        {"padding": (1, 2), "dilation": 2, "groups": 2, "bias": False, "padding_mode": "reflect"},
    ),
    "conv_strided": ("Conv2d", (1, 6, 5), {"stride": (2, 1), "padding": 2}),
    "conv1d": ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}),
    "conv1d_same": ("Conv1d", (3, 8, 4), {"padding": "same", "dilation": 3, "bias": False}),
    "conv1d_mode": ("Conv1d", (3, 2, 5), {"padding": 2, "padding_mode": "circular"}),
    "max": ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}),
    "max_defaults": ("MaxPool2d", (2,), {}),
    "max_indices": ("MaxPool2d", ((2, 3),), {"return_indices": True, "dilation": (1, 2)}),
    "avg": ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}),
    "avg_divisor": ("AvgPool2d", (2,), {"divisor_override": 3}),
    "adaptive": ("AdaptiveAvgPool2d", ((None, 5),), {}),
    "adaptive_int": ("AdaptiveAvgPool2d", (1,), {}),
}
# Layers of rows, of volumes and transposed ones: (class, arguments, keywords, input size)
MORE = {
    "conv3d": ("Conv3d", (4, 6, 3), {"padding": 1, "stride": (1, 2, 1)}, (2, 4, 5, 6, 7)),
    "conv3d_mode": ("Conv3d", (2, 3, 3), {"padding": 1, "padding_mode": "circular"},
                    (2, 2, 4, 5, 6)),
    "transposed1d": ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "groups": 2}, (2, 4, 9)),
    "transposed2d": ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "output_padding": 1, "padding": 1},
                     (2, 4, 5, 6)),
    "max1d": ("MaxPool1d", (3,), {"stride": 2, "padding": 1}, (2, 3, 13)),
    "max1d_indices": ("MaxPool1d", (3,), {"return_indices": True}, (2, 3, 13)),
    "max3d": ("MaxPool3d", ((2, 3, 2),), {"ceil_mode": True}, (2, 3, 7, 8, 9)),
    "avg1d": ("AvgPool1d", (4,), {"stride": 2}, (2, 3, 13)),
    "avg3d": ("AvgPool3d", (2,), {"padding": 1}, (2, 3, 7, 8, 9)),
    "adaptive1d": ("AdaptiveAvgPool1d", (4,), {}, (2, 3, 16)),
    "adaptive3d": ("AdaptiveAvgPool3d", ((4, None, 2),), {}, (2, 3, 8, 8, 8)),
    "adaptive_max1d": ("AdaptiveMaxPool1d", (4,), {"return_indices": True}, (2, 3, 12)),
    "lp1d": ("LPPool1d", (1, 2), {}, (2, 3, 12)),
    "lp2d": ("LPPool2d", (1, (2, 2)), {"stride": 1}, (2, 3, 7, 8)),
    "lp3d": ("LPPool3d", (1, 2), {}, (2, 3, 4, 6, 8)),
}  # fmt: skip
ALL = {**MODULES, **{f"more_{name}": entry[:3] for name, entry in MORE.items()}}


@pytest.mark.parametrize("name", ALL)
def test_attributes_and_repr(name: str):
    kind, args, kwargs = ALL[name]
    ours, torchs = getattr(fastconv, kind)(*args, **kwargs), getattr(nn, kind)(*args, **kwargs)
    assert isinstance(ours, type(torchs)) and repr(ours) == repr(torchs)
    assert ours.__constants__ == torchs.__constants__
    for key, value in vars(torchs).items():
        if not key.startswith("_"):
            assert getattr(ours, key) == value and type(getattr(ours, key)) is type(value), key
    assert list(ours.state_dict()) == list(torchs.state_dict())
    assert set(vars(ours)) == set(vars(torchs))


def test_positional_arguments_are_in_torchs_order():
    for package in (fastconv, nn):
        conv = package.Conv2d(4, 6, 3, 2, 1, 2, 2, False, "circular", "cpu", torch.float64)
        assert (conv.stride, conv.padding, conv.dilation) == ((2, 2), (1, 1), (2, 2))
        assert conv.groups == 2 and conv.bias is None and conv.padding_mode == "circular"
        assert conv.weight.dtype is torch.float64
        pool = package.MaxPool2d(2, 1, 0, 1, True, False)
        assert pool.return_indices and not pool.ceil_mode
        average = package.AvgPool2d(2, 1, 0, True, False, 5)
        assert average.ceil_mode and average.divisor_override == 5


@pytest.mark.parametrize("name", [name for name, entry in ALL.items() if "Conv" in entry[0]])
def test_same_seed_gives_the_same_weights(name: str):
    kind, args, kwargs = ALL[name]
    modules = []
    for package in (fastconv, nn):
        torch.manual_seed(3)
        modules.append(getattr(package, kind)(*args, **kwargs))
        modules[-1].reset_parameters()
    assert_all_equal(list(modules[0].parameters()), list(modules[1].parameters()))


def test_same_state_of_the_generator_afterwards():
    states = []
    for package in (fastconv, nn):
        torch.manual_seed(3)
        Net(package)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_state_dict_both_ways():
    ours, torchs = Net(fastconv), Net(nn)
    assert list(ours.state_dict()) == list(torchs.state_dict())
    torchs.load_state_dict(ours.state_dict())
    assert_all_equal(list(ours.parameters()), list(torchs.parameters()))
    torchs = Net(nn)
    ours.load_state_dict(torchs.state_dict(), assign=True)
    assert_all_equal(list(ours.parameters()), list(torchs.parameters()))


def test_save_and_weights_only_load():
    ours, file = Net(), io.BytesIO()
    torch.save(ours.state_dict(), file)
    file.seek(0)
    torchs = Net(nn)
    torchs.load_state_dict(torch.load(file, weights_only=True))
    assert_all_equal(list(ours.parameters()), list(torchs.parameters()))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_deepcopy_and_pickle(duplicate: Callable):
    model = fill(Net())
    other = duplicate(model)
    assert [type(m) for m in other.modules()] == [type(m) for m in model.modules()]
    assert other.conv1.weight.data_ptr() != model.conv1.weight.data_ptr()
    assert torch.equal(other(X), model(X))


def test_whole_module_saved_and_loaded():
    file = io.BytesIO()
    model = fill(Net())
    torch.save(model, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(X), model(X))


def test_pickle_without_padding_mode():
    """As old as torch 1.0."""
    conv = fastconv.Conv2d(1, 1, 2)
    state = {key: value for key, value in vars(conv).items() if key != "padding_mode"}
    old = fastconv.Conv2d.__new__(fastconv.Conv2d)
    old.__setstate__(state)
    x = torch.ones(1, 1, 3, 3)
    assert torch.equal(old(x), conv(x))


@pytest.mark.parametrize("name", MODULES)
def test_forward_and_backward_equal_torchs(name: str):
    kind, args, kwargs = MODULES[name]
    if kind == "AvgPool2d":
        args, kwargs = (2,), {**kwargs, "divisor_override": kwargs.get("divisor_override") and -4}
        kwargs["padding"] = 0
    size = (2, args[0] if kind.startswith("Conv") else 3, 8, 10)
    size = (*size[:2], 21) if kind == "Conv1d" else size
    results = []
    for package in (fastconv, nn):
        module = fill(getattr(package, kind)(*args, **kwargs))
        if "return_indices" in kwargs:
            results.append([*module(whole(*size))])
        else:
            results.append(step(module, whole(*size), module.parameters()))
            results[-1].append(module(whole(*size)[0]))  # unbatched
    if kind == "AdaptiveAvgPool2d" and args == (1,):  # 80 elements: not a power of two
        for a, b in zip(*results, strict=True):
            assert (a - b).abs().max() <= dot_bound(80, 3 * 3, a.dtype)  # numbers up to 3, squared
    else:
        assert_all_equal(*results)


@pytest.mark.parametrize("name", MORE)
def test_layers_of_rows_and_volumes_and_transposed_ones(name: str, no_handovers):
    kind, args, kwargs, size = MORE[name]
    x, results = whole(*size).abs(), []
    ours, torchs = (fill(getattr(p, kind)(*args, **kwargs)) for p in (fastconv, nn))
    for module in (ours, torchs, copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)),
                   fastconv.convert(copy.deepcopy(torchs))):  # fmt: skip
        if "return_indices" in kwargs:
            results.append([*module(x), *module(x[0])])
        else:
            results.append([*step(module, x, module.parameters()), module(x[0])])
    assert [type(m).__module__.startswith("fastconv") for m in (ours, torchs)] == [True, False]
    assert type(fastconv.revert(copy.deepcopy(ours))) is type(torchs)
    for others in (results[0], *results[2:]):
        assert_all_equal(others, results[1])
    assert fastconv.fallbacks() == {}


def test_transposed_layers_take_an_output_size():
    for kind, size, wanted in (("ConvTranspose1d", (2, 4, 9), [18]),
                               ("ConvTranspose2d", (2, 4, 5, 6), [10, 11])):  # fmt: skip
        ours, torchs = (
            fill(getattr(p, kind)(4, 3, 3, stride=2, padding=1)) for p in (fastconv, nn)
        )
        x = whole(*size)
        assert torch.equal(ours(x, wanted), torchs(x, output_size=wanted))
        for module in (ours, torchs):
            with pytest.raises(ValueError, match="requested an output size"):
                module(x, [99] * len(wanted))


@pytest.mark.parametrize(
    "kind", ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d"]
)
def test_lazy_layers_become_ours(kind: str):
    x = torch.ones(1, 2, *[5] * int(kind[-2]))
    ours, torchs = getattr(fastconv, f"Lazy{kind}")(3, 2), getattr(nn, f"Lazy{kind}")(3, 2)
    converted = fastconv.convert(copy.deepcopy(torchs))
    assert type(converted) is type(ours) and repr(converted) == repr(torchs)
    for module in (ours, converted, pickle.loads(pickle.dumps(converted))):
        module(x)
        assert type(module) is getattr(fastconv, kind)
    reverted = fastconv.revert(fastconv.convert(torchs))
    reverted(x)
    assert type(reverted) is getattr(nn, kind)


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"padding": 1},
        {"padding": (0, 2), "stride": 2},
        {"padding": "same"},
        {"padding": "same", "dilation": (1, 3)},
        {"padding": "valid"},
        {"padding": (2, 1), "groups": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_padding_modes(arguments: dict, padding_mode: str, memory_format: torch.memory_format):
    results = []
    for package in (fastconv, nn):
        conv = fill(package.Conv2d(4, 6, (5, 2), padding_mode=padding_mode, **arguments))
        x = whole(2, 4, 7, 6).contiguous(memory_format=memory_format)
        conv.to(memory_format=memory_format)
        results.append([*step(conv, x, conv.parameters()), conv(x[0])])
    assert_all_equal(*results)
    assert results[0][0].stride() == results[1][0].stride()


def test_pickled_class_names_are_public():
    for name in ("Conv1d", "Conv2d", "Conv2dSame", "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d"):
        assert getattr(fastconv, name).__module__.startswith("fastconv")
        assert name in fastconv.__all__
