"""fastconv.enabled, fastconv.enable and convert(mode="functions"): torch's functions, computed by
fastconv, whose modules stay torch's own."""

import copy
import pickle
import subprocess
import sys
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

import fastconv
from fastconv import functional, routing

aten = torch.ops.aten

ROUTED = {
    "conv1d": lambda x: F.conv1d(x.flatten(2), torch.ones(2, x.shape[1], 3), padding=1),
    "conv2d": lambda x: F.conv2d(x, torch.ones(2, x.shape[1], 3, 3), stride=2),
    "torch.conv2d": lambda x: torch.conv2d(x, torch.ones(2, x.shape[1], 3, 3), None, 1, "same"),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "max_pool2d indices": lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
    "max_pool2d_with_indices": lambda x: F.max_pool2d_with_indices(x, 2),
    "torch.max_pool2d": lambda x: torch.max_pool2d(x, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2, ceil_mode=True),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
    "aten.conv2d": lambda x: aten.conv2d(x, torch.ones(2, x.shape[1], 3, 3), None, [2, 2]),
    "aten.conv2d.padding": lambda x: aten.conv2d.padding(
        x, torch.ones(2, x.shape[1], 3, 3), None, [1, 1], "same"
    ),
    "aten.convolution": lambda x: aten.convolution.default(
        x, torch.ones(2, x.shape[1], 3, 3), None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1
    ),
    "aten.convolution transposed": lambda x: aten.convolution(
        x, torch.ones(x.shape[1], 2, 3, 3), None, [2, 2], [1, 1], [1, 1], True, [1, 1], 1
    ),
    "aten.max_pool2d_with_indices": lambda x: aten.max_pool2d_with_indices.default(x, [3, 3], []),
    "aten.adaptive_max_pool2d": lambda x: aten.adaptive_max_pool2d(x, [2, 3]),
    "aten.avg_pool2d": lambda x: aten.avg_pool2d.default(x, [2, 2], [1, 1]),
    "nn.Conv2d": lambda x: nn.Conv2d(x.shape[1], 2, 3).requires_grad_(False)(x) * 0,
    "nn.MaxPool2d": nn.MaxPool2d(2),
    "nn.AdaptiveAvgPool2d": nn.AdaptiveAvgPool2d(1),
}


@pytest.fixture
def calls(monkeypatch):
    """Names of the functions of ours that were called."""
    seen = []

    def watched(ours):
        def call(*args, **kwargs):
            seen.append(ours.__name__)
            return ours(*args, **kwargs)

        return call

    routes = {torchs: watched(ours) for torchs, ours in routing.ROUTES.items()}
    monkeypatch.setattr(routing, "ROUTES", routes)
    return seen


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 4, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ).eval()


X = torch.randn(2, 3, 16, 16)


@pytest.mark.parametrize("name", ROUTED)
def test_inside_the_block_alone_fastconv_computes(name, calls):
    function = ROUTED[name]
    expected = function(X)
    assert calls == []
    with fastconv.enabled():
        result = function(X)
    assert len(calls) == 1
    torch.testing.assert_close(result, expected)
    function(X)
    assert len(calls) == 1


def test_gradients_outside_of_the_block_are_ours(calls):
    x, w = X.clone().requires_grad_(), torch.randn(4, 3, 3, 3, requires_grad=True)
    with fastconv.enabled():
        y = F.conv2d(x, w)
    assert "Fastconv" in type(y.grad_fn).__name__ or "Conv2d" in y.grad_fn.name()
    y.sum().backward()
    grads = x.grad, w.grad
    x.grad = w.grad = None
    F.conv2d(x, w).sum().backward()
    torch.testing.assert_close(grads, (x.grad, w.grad), rtol=1e-4, atol=1e-4)


def test_blocks_nest_end_with_errors_and_hold_for_their_thread(calls):
    with pytest.raises(RuntimeError), fastconv.enabled(), fastconv.enabled():
        F.conv2d(X, torch.ones(1, 2, 3, 3))  # two channels instead of three
    calls.clear()
    F.max_pool2d(X, 2)
    assert calls == []

    @fastconv.enabled()
    def decorated(depth):
        F.max_pool2d(X, 2)
        return depth and decorated(depth - 1)

    decorated(2)
    assert len(calls) == 3
    with fastconv.enabled():
        thread = threading.Thread(target=lambda: F.max_pool2d(X, 2))
        thread.start()
        thread.join()
    assert len(calls) == 3


def test_enable_holds_until_disable(calls):
    fastconv.enable()
    fastconv.enable()
    F.max_pool2d(X, 2)
    fastconv.disable()
    fastconv.disable()
    F.max_pool2d(X, 2)
    assert calls == ["max_pool2d"]


def test_autocast_and_what_the_kernels_do_not_take(calls):
    fastconv.fallbacks(reset=True)
    with fastconv.enabled(), torch.autocast("cpu", torch.bfloat16):
        assert F.conv2d(X, torch.ones(1, 3, 3, 3)).dtype is torch.bfloat16
    with fastconv.enabled():
        F.max_pool2d(X.to(torch.int32), 2)
    assert fastconv.fallbacks(reset=True) == {("max_pool2d", "dtype"): 1}


def test_a_model_in_functions_mode_keeps_its_classes(calls):
    model = net()
    expected, kinds = model(X), [type(m) for m in model.modules()]
    keys = list(model.state_dict())
    assert fastconv.convert(fastconv.convert(model, mode="functions"), mode="functions") is model
    assert [type(m) for m in model.modules()] == kinds and list(model.state_dict()) == keys
    for same in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        calls.clear()
        torch.testing.assert_close(same(X), expected)
        assert calls == ["conv2d", "max_pool2d", "conv2d", "adaptive_avg_pool2d"]
    with pytest.raises(RuntimeError):
        model(torch.randn(2, 4, 16, 16))
    calls.clear()
    F.max_pool2d(X, 2)
    assert calls == [], "the block has ended with the error"
    assert fastconv.revert(model) is model and "forward" not in vars(model)
    model(X)
    assert calls == []
    with pytest.raises(ValueError, match="mode must be"):
        fastconv.convert(model, mode="methods")


def test_no_block_stays_open_when_a_run_is_interrupted(calls):
    class Interrupted(nn.Module):
        def forward(self, x):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastconv.convert(Interrupted(), mode="functions")(X)
    F.max_pool2d(X, 2)
    assert calls == []
    replaced = net()
    replaced.forward = lambda x: x
    with pytest.raises(ValueError, match="replaced already"):
        fastconv.convert(replaced, mode="functions")


def test_modes_entered_since_stay_when_a_block_ends(calls):
    seen = []

    class Other(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            seen.append(function)
            return function(*args, **(kwargs or {}))

    fastconv.enable()
    with Other():
        fastconv.disable()
        F.max_pool2d(X, 2)
        assert F.max_pool2d in seen and calls == []
    count = len(seen)
    F.max_pool2d(X, 2)
    assert len(seen) == count and calls == []


@pytest.mark.skipif(torch.__version__ < "2.5", reason="its compiler knows no modes of functions")
@pytest.mark.parametrize("within", ["the block", "the graph"])
def test_compiled_code_takes_the_kernels_too(within, fresh_compiler):
    graphs = []

    def keep(graph, _):
        graphs.append(graph.graph)
        return graph

    def function(x, w):
        return F.max_pool2d(F.conv2d(x, w), 2)

    def with_block(x, w):
        with fastconv.enabled():
            return function(x, w)

    w = torch.randn(4, 3, 3, 3)
    if within == "the graph":
        result = torch.compile(with_block, backend=keep, fullgraph=True)(X, w)
    else:
        with fastconv.enabled():
            result = torch.compile(function, backend=keep, fullgraph=True)(X, w)
    torch.testing.assert_close(result, function(X, w))
    targets = " ".join(str(node.target) for graph in graphs for node in graph.nodes)
    assert "fastconv.conv2d" in targets and "fastconv.max_pool2d" in targets


def test_an_exported_program_runs_ours(calls):
    program = torch.export.export(net(), (X,))
    expected = program.module()(X)
    for which in (program, program.run_decompositions()):
        calls.clear()
        with fastconv.enabled():
            result = which.module()(X)
        assert len(calls) >= 3  # a mean may stand for the last pool
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)
    calls.clear()
    with fastconv.enabled(), torch._subclasses.FakeTensorMode() as mode:  # as torch traces
        fake = mode.from_tensor(X)
        assert aten.max_pool2d.default(fake, [2, 2]).shape == (2, 3, 8, 8)


def test_ours_assigned_to_torchs_name_does_not_call_itself():
    code = """
import torch, torch.nn.functional as F, fastconv
for name in fastconv.functional.__all__:
    if hasattr(F, name):
        setattr(F, name, getattr(fastconv.functional, name))
print(F.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3)).item())
print(F.conv2d(*(torch.ones(1, 1, 3, 3, device="meta"),) * 2).device)
print(F.max_pool2d(torch.ones(1, 4, 4, dtype=torch.int32), 2).shape)
print(torch.nn.Conv2d(1, 1, 1)(torch.ones(1, 1, 2, 2)).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[0] == "9.0"


def test_routes_are_the_functions_of_fastconv():
    assert routing.ROUTES[F.conv2d] is functional.conv2d
