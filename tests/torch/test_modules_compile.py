"""Models of the modules compiled, exported and traced: the same results."""

import pickle

import pytest
import torch
from reference import assert_all_equal
from small_net import Net, X, step
from tensors import fill, whole
from torch import Tensor, nn

import fastconv
from fastconv import functional


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile(backend: str, dynamic: bool, fresh_compiler, monkeypatch):
    """Whole graph; inference and training; the batch changes where it may. Also where CI is set,
    which makes inductor refuse operators that torch's table decomposes."""
    monkeypatch.setenv("CI", "true")
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


# name: (layer, size to trace, another size to run, what the graph must hold)
TRACED = {
    "same": (fastconv.Conv2d(3, 4, 3, padding="same"), (1, 3, 8, 8), (2, 3, 5, 6), "fastconv"),
    "same_uneven": (
        fastconv.Conv2d(3, 4, (2, 3), padding="same", dilation=(1, 2)), (3, 8, 8), (3, 5, 6),
        "fastconv",
    ),
    "same_1d": (fastconv.Conv1d(3, 4, 3, padding="same"), (1, 3, 8), (2, 3, 5), "fastconv"),
    "same_1d_uneven": (fastconv.Conv1d(3, 4, 2, padding="same"), (3, 8), (3, 5), "fastconv"),
    "conv2d_same": (fastconv.Conv2dSame(3, 4, 4), (1, 3, 8, 8), (2, 3, 5, 6), "fastconv"),
    "conv2d_same_reflect": (
        fastconv.Conv2dSame(3, 4, 4, padding_mode="reflect"), (1, 3, 8, 8), (2, 3, 5, 6),
        "fastconv",
    ),
    "circular": (
        fastconv.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), (1, 3, 8, 8), (2, 3, 5, 6),
        "fastconv",
    ),
    "max": (fastconv.MaxPool2d(3, 2, 1), (1, 3, 8, 8), (2, 3, 5, 6), "fastconv"),
    "max_indices": (
        fastconv.MaxPool2d(2, return_indices=True), (1, 3, 8, 8), (2, 3, 5, 6), "fastconv",
    ),
    "avg": (fastconv.AvgPool2d(3, 2, 1), (1, 3, 8, 8), (2, 3, 5, 6), "fastconv"),
    "adaptive": (fastconv.AdaptiveAvgPool2d((2, 3)), (1, 3, 8, 8), (2, 3, 5, 6), "fastconv"),
    "adaptive_to_extents": (
        fastconv.AdaptiveAvgPool2d((None, 3)), (1, 3, 8, 8), (2, 3, 5, 6), "aten",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*torch.jit", "error::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", TRACED)
def test_jit_trace_of_layers(name: str):
    """No padding or extent of the traced call is left in the graph where another call differs."""
    layer, size, other, package = TRACED[name]
    traced = torch.jit.trace(layer, torch.randn(size))
    kinds = [n.kind() for n in traced.inlined_graph.nodes() if "2d" in n.kind()]
    assert kinds and all(kind.startswith(package) for kind in kinds)
    x = torch.randn(other)
    got, want = traced(x), layer(x)
    assert_all_equal(*(r if isinstance(r, tuple) else (r,) for r in (got, want)))


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_jit_trace():
    model = fill(Net()).eval()
    traced = torch.jit.trace(model, X)
    assert torch.equal(traced(X[:2]), model(X[:2]))


SCRIPTED = {
    "Conv1d": (3, 4, 3), "Conv2d": (3, 4, 3), "Conv2dSame": (3, 4, 3), "MaxPool2d": (2,),
    "AvgPool2d": (2,), "AdaptiveAvgPool2d": (2,),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("name", SCRIPTED)
def test_jit_script_says_what_to_do(name: str):
    layer = getattr(fastconv, name)(*SCRIPTED[name])
    for model in (layer, nn.Sequential(layer, nn.ReLU())):
        with pytest.raises(NotImplementedError, match=rf"fastconv\.{name}.*fastconv\.revert"):
            torch.jit.script(model)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_jit_script_of_what_was_reverted():
    model = nn.Sequential(nn.Conv2d(2, 4, 2), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1)).double()
    want = model(X)
    scripted = torch.jit.script(fastconv.revert(fastconv.convert(model)))
    assert torch.equal(scripted(X), want)
