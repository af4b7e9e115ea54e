"""The modules as drop-ins for torch.nn, and models of them under torch's tools.

Where values are compared, tensors hold small whole numbers in float64 and windows have 2 x 2
elements: sums are exact, so everything must equal torch's.
"""

import copy
import io
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable

import pytest
import torch
from reference import eps
from seen import Operators
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.fusion import fuse_conv_bn_eval

import fastconv
from fastconv import functional

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


def whole(*size, seed=0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(size))
    return torch.randint(-3, 4, size, generator=generator).double()


def fill(module: nn.Module) -> nn.Module:
    """Whole numbers for parameters, the same in every module of these sizes; float64."""
    module.double()
    with torch.no_grad():
        for seed, p in enumerate(module.parameters()):
            p.copy_(whole(*p.shape, seed=seed))
    return module


class Net(nn.Module):
    """All four layers, (N, 2, 13, 13) -> (N, 3)."""

    def __init__(self, package=fastconv):
        super().__init__()
        self.conv1 = package.Conv2d(2, 4, 2, padding=1)
        self.pool1 = package.MaxPool2d(2)
        self.conv2 = package.Conv2d(4, 4, (1, 2), stride=(1, 2), groups=2, padding=(0, 1))
        self.pool2 = package.AvgPool2d(2, 1)
        self.pool3 = package.AdaptiveAvgPool2d((3, None))
        self.head = nn.Linear(36, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(torch.relu(self.conv1(x)))
        x = self.pool2(torch.relu(self.conv2(x)))
        return self.head(torch.flatten(self.pool3(x), 1))


def step(model: Callable, x: Tensor, parameters) -> list[Tensor]:
    """[output, gradient of x, gradients of the parameters] of the output's square."""
    parameters = list(parameters)
    for p in parameters:
        p.grad = None
    x = x.detach().clone().requires_grad_()
    y = model(x)
    y.square().sum().backward()
    return [y.detach(), x.grad, *(p.grad.clone() for p in parameters)]


def assert_all_equal(got: list[Tensor], want: list[Tensor]) -> None:
    assert len(got) == len(want)
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        assert a.dtype is b.dtype and torch.equal(a, b), i


X = whole(3, 2, 13, 13, seed=9)


# ---- the same objects as torch.nn -------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_attributes_and_repr(name: str):
    kind, args, kwargs = MODULES[name]
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


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("conv")])
def test_same_seed_gives_the_same_weights(name: str):
    kind, args, kwargs = MODULES[name]
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
            assert (a - b).abs().max() <= 4 * 84 * eps(a.dtype) * 3 * 3  # numbers up to 3, squared
    else:
        assert_all_equal(*results)


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


# ---- convert and revert -----------------------------------------------------------------------


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

    classes = [Mine, MineOfOurs, nn.LazyConv2d, nn.Conv3d, nn.ConvTranspose2d]
    model = nn.ModuleList(c(1, 1, 1) if c is not nn.LazyConv2d else c(1, 1) for c in classes)
    for swap in (fastconv.convert, fastconv.revert):
        assert [type(m) for m in swap(model)] == classes


def test_lazy_conv_is_converted_once_it_knows_its_size():
    model = fastconv.convert(nn.Sequential(nn.LazyConv2d(3, 2)))
    model(torch.ones(1, 2, 4, 4))
    assert type(model[0]) is nn.Conv2d
    assert type(fastconv.convert(model)[0]) is fastconv.Conv2d


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


# ---- types, devices, formats ------------------------------------------------------------------


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


# ---- autocast ---------------------------------------------------------------------------------


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


# ---- parametrizations, pruning, fusion, functional calls --------------------------------------


@pytest.mark.parametrize("name", ["spectral_norm", "weight_norm", "orthogonal"])
def test_parametrizations(name: str):
    results = []
    for package in (fastconv, nn):
        torch.manual_seed(1)
        conv = package.Conv2d(2, 4, 2, dtype=torch.float64)
        getattr(parametrizations, name)(conv)
        y = conv(X)
        y.sum().backward()
        assert all(p.grad is not None for p in conv.parameters())
        results.append((repr(conv), y.detach(), conv.weight.detach()))
    (text, y, w), (like_text, like, like_w) = results
    assert text.replace("fastconv", "") == like_text.replace("fastconv", "")
    assert torch.equal(w, like_w)
    limit = 4 * (8 + 1 + 4) * eps(y.dtype) * (9 * 3 * w.abs().max() + 3)
    assert (y - like).abs().max() <= limit


def test_old_weight_norm_and_pruning():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        conv = nn.utils.weight_norm(fastconv.Conv2d(2, 4, 2, dtype=torch.float64))
    conv(X).sum().backward()
    assert conv.weight_g.grad is not None
    conv = fill(fastconv.Conv2d(2, 4, 2))
    prune.l1_unstructured(conv, "weight", amount=0.5)
    assert torch.equal(conv(X), nn.functional.conv2d(X, conv.weight, conv.bias))


def test_fused_batch_norm():
    conv, norm = fill(fastconv.Conv2d(2, 4, 2)).eval(), nn.BatchNorm2d(4).double().eval()
    fused = fuse_conv_bn_eval(conv, norm)
    assert type(fused) is fastconv.Conv2d
    want = norm(conv(X))
    limit = 4 * 16 * eps(X.dtype) * (8 * 9 + 3)
    assert (fused(X) - want).abs().max() <= limit


def test_functional_call():
    model, other = fill(Net()), fill(Net(nn))
    doubled = {name: 2 * p for name, p in model.named_parameters()}
    got = torch.func.functional_call(model, doubled, (X,))
    assert torch.equal(got, torch.func.functional_call(other, doubled, (X,)))
    assert not torch.equal(got, model(X))


def test_memory_format_conversion_of_weights():
    model = nn.utils.convert_conv2d_weight_memory_format(Net(), torch.channels_last)
    assert model.conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_share_memory():
    model = fill(Net())
    want = model(X)
    assert torch.equal(model.share_memory()(X), want)


# ---- compilers and tracers --------------------------------------------------------------------


@pytest.fixture
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile(backend: str, dynamic: bool, fresh_compiler):
    """Whole graph; inference and training; the batch changes where it may."""
    model = fill(Net())
    compiled = torch.compile(model, backend=backend, fullgraph=True, dynamic=dynamic)
    for x in (X, X[:2].flip(2)) if dynamic else (X,):
        assert_all_equal(step(compiled, x, model.parameters()), step(model, x, model.parameters()))
        with torch.no_grad():
            assert torch.equal(compiled(x), model(x))
    with torch.inference_mode():
        assert torch.equal(compiled(X), model(X))


def test_compile_dynamic_batch_compiles_once(fresh_compiler):
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    model = fill(Net())
    compiled = torch.compile(model, backend=counter, fullgraph=True, dynamic=True)
    for batch in (4, 2, 3, 5):
        x = whole(batch, 2, 13, 13)
        assert torch.equal(compiled(x), model(x))
    assert counter.frame_count == 1


def test_compile_of_channels_last(fresh_compiler):
    model = fill(Net()).to(memory_format=torch.channels_last)
    x = X.contiguous(memory_format=torch.channels_last)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    assert_all_equal(step(compiled, x, model.parameters()), step(model, x, model.parameters()))
    conv = torch.compile(model.conv1, backend="aot_eager", fullgraph=True)
    assert conv(x).stride() == model.conv1(x).stride()


def test_compile_of_unbatched_and_same_and_indices(fresh_compiler):
    def run(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        y = functional.conv2d(x, w, padding="same", dilation=(1, 3))
        return functional.max_pool2d(y, 3, 2, 1, ceil_mode=True, return_indices=True)

    x, w = whole(2, 9, 9), whole(3, 2, 2, 2)
    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
    assert_all_equal([*compiled(x, w)], [*run(x, w)])
    leaves = [t.clone().requires_grad_() for t in (x, w)]
    got = torch.autograd.grad(compiled(*leaves)[0].sum(), leaves)
    want = torch.autograd.grad(run(*leaves)[0].sum(), leaves)
    assert_all_equal([*got], [*want])


def test_compile_of_autocast(fresh_compiler):
    model = fill(fastconv.Conv2d(2, 4, 2)).float()

    def run(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return model(x)

    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
    got, want = compiled(X.float()), run(X.float())
    assert got.dtype is torch.bfloat16 and torch.equal(got, want)


def test_compile_with_a_frozen_weight(fresh_compiler):
    model = fill(Net())
    model.conv1.weight.requires_grad_(False)
    model.conv2.bias.requires_grad_(False)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    trained = [p for p in model.parameters() if p.requires_grad]
    assert_all_equal(step(compiled, X, trained), step(model, X, trained))
    assert model.conv1.weight.grad is None and model.conv2.bias.grad is None


def test_export():
    model = fill(Net()).eval()
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(model, (X,), dynamic_shapes={"x": {0: batch}})
    operators = [str(n.target) for n in program.graph.nodes if "fastconv" in str(n.target)]
    assert [o.split(".")[1] for o in operators] == [
        "conv2d", "max_pool2d", "conv2d", "avg_pool2d", "adaptive_avg_pool2d",
    ]  # fmt: skip
    for x in (X, whole(5, 2, 13, 13)):
        assert torch.equal(program.module()(x), model(x))


def test_export_saved_and_loaded(tmp_path):
    model = fill(Net()).eval()
    torch.export.save(torch.export.export(model, (X,)), tmp_path / "net.pt2")
    loaded = torch.export.load(tmp_path / "net.pt2")
    assert torch.equal(loaded.module()(X), model(X))


def test_symbolic_trace():
    model = fill(fastconv.convert(Net(nn)))
    traced = torch.fx.symbolic_trace(model)
    assert torch.equal(traced(X), model(X))
    assert_all_equal(step(traced, X, traced.parameters()), step(model, X, model.parameters()))
    copied = pickle.loads(pickle.dumps(traced))
    assert torch.equal(copied(X), model(X))


def test_symbolic_trace_of_the_functions():
    def run(x, w):
        y = functional.conv2d(x, w, padding=1)
        y, indices = functional.max_pool2d(y, 2, return_indices=True)
        return functional.adaptive_avg_pool2d(functional.avg_pool2d(y, 2), 2), indices

    traced = torch.fx.symbolic_trace(run)
    w = whole(4, 2, 2, 2)
    assert_all_equal([*traced(X, w)], [*run(X, w)])
    targets = [n.target for n in traced.graph.nodes if n.op == "call_function"]
    assert functional.conv2d in targets and functional.avg_pool2d in targets


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_jit_trace():
    model = fill(Net()).eval()
    traced = torch.jit.trace(model, X)
    assert torch.equal(traced(X[:2]), model(X[:2]))


# ---- distributed ------------------------------------------------------------------------------


DDP = """
import os, sys, warnings
import torch
from torch import nn
import fastconv

memory_format, store = getattr(torch, sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
torch.set_warn_always(True)
layers = fastconv.Conv2d(3, 8, 3, padding=1), fastconv.MaxPool2d(2), fastconv.Conv2d(8, 4, 1)
model = nn.Sequential(*layers).to(memory_format=memory_format)
x = torch.randn(2, 3, 8, 8).contiguous(memory_format=memory_format)
model(x).square().sum().backward()
alone = [p.grad.clone() for p in model.parameters()]
model.zero_grad()
parallel = nn.parallel.DistributedDataParallel(model)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    parallel(x).square().sum().backward()
print([str(w.message) for w in caught if "Grad strides do not match" in str(w.message)])
print(all(torch.equal(p.grad, a) for p, a in zip(model.parameters(), alone)))
sys.stdout.flush()
os._exit(0)  # torch's teardown of gloo may wait for itself
"""


@pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
    reason="this torch has no gloo",
)
@pytest.mark.parametrize("memory_format", ["contiguous_format", "channels_last"])
def test_ddp_gets_gradients_with_the_strides_of_its_buckets(memory_format, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", DDP, memory_format, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["[]", "True"], done.stderr
