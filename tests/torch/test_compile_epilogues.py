"""inductor makes one operator of a convolution and what follows it (fastconv/core/inductor.py)."""

from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

import fastconv

X = torch.randn(2, 8, 10, 12, generator=torch.Generator().manual_seed(5))


class Block(nn.Module):
    """A residual block of a resnet, with a convolution on its way past."""

    def __init__(self, left: bool, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
        self.conv2, self.norm2 = nn.Conv2d(16, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.past, self.norm3 = nn.Conv2d(8, 16, 1, 2), nn.BatchNorm2d(16)
        self.end = activation or nn.ReLU(inplace=True)
        self.left = left

    def forward(self, x: Tensor) -> Tensor:
        y = self.end(self.norm1(self.conv1(x)))
        y, x = self.norm2(self.conv2(y)), self.norm3(self.past(x))
        return self.end(y + x if self.left else x + y)


class Graphs:
    """A backend of torch.compile: torch runs inductor's graphs, without code for them, which would
    take seconds each. `seen` has of each graph how often it calls each operator."""

    def __init__(self) -> None:
        self.seen: list[Counter] = []

    def __call__(self, graph: GraphModule, inputs: list):
        from torch._inductor.compile_fx import compile_fx

        return compile_fx(graph, inputs, inner_compile=self._run)

    def _run(self, graph: GraphModule, inputs: list, is_inference: bool = False, **_):
        from functorch.compile import make_boxed_func
        from torch._dynamo.utils import detect_fake_mode
        from torch._inductor.fx_passes.post_grad import post_grad_passes
        from torch._inductor.virtualized import V

        with V.set_fake_mode(detect_fake_mode(inputs)):
            post_grad_passes(graph, is_inference)
        calls = [n.target for n in graph.graph.nodes if n.op == "call_function"]
        self.seen.append(Counter(t._opname for t in calls if isinstance(t, torch._ops.OpOverload)))
        return make_boxed_func(graph.forward)


@pytest.fixture
def graphs(fresh_compiler) -> Graphs:
    return Graphs()


def evaluated(model: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return fastconv.convert(model.eval())


def close(got: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("activation", [nn.ReLU(inplace=True), nn.ReLU6()], ids=str)
@pytest.mark.parametrize("left", [True, False])
def test_a_frozen_residual_block_is_three_operators(left, activation, graphs):
    from torch._inductor import config

    model = evaluated(Block(left, activation))
    with torch.no_grad(), config.patch(freezing=True):
        close(torch.compile(model, backend=graphs)(X), model(X))
    assert graphs.seen == [Counter(conv2d_fused=2, conv2d=1)]


def test_the_code_of_a_frozen_block_has_no_kernel_besides(fresh_compiler):
    from torch._inductor import config
    from torch._inductor.utils import run_and_get_code

    model = evaluated(Block(True))
    with torch.no_grad(), config.patch(freezing=True, fx_graph_cache=False):
        got, (code,) = run_and_get_code(torch.compile(model), X)
        close(got, model(X))
    assert "cpp_fused" not in code and code.count("conv2d_fused.default(") == 2


def relu6_and_sum(x, w):
    conv = fastconv.functional.conv2d
    y = nn.functional.relu6(conv(x, w, padding=1))
    return y + conv(y, w, padding=1)


FUSED = {  # name -> (function of x and w, the operators of its graph)
    "relu6, then a sum": (relu6_and_sum, Counter(conv2d_fused=2)),
    "bounds": (
        lambda x, w: fastconv.functional.conv2d(x, w).clamp(-0.5, 0.25), Counter(conv2d_fused=1)
    ),
    "one bound": (
        lambda x, w: fastconv.functional.conv2d(x, w).clamp(max=0.25), Counter(conv2d_fused=1)
    ),
    "two users": (
        lambda x, w: (lambda y: (y, y.relu()))(fastconv.functional.conv2d(x, w)),
        Counter(conv2d=1, relu=1),
    ),
    "twice the result": (
        lambda x, w: (lambda y: y + y)(fastconv.functional.conv2d(x, w)), Counter(conv2d=1, add=1)
    ),
    "a sum with a number": (
        lambda x, w: fastconv.functional.conv2d(x, w) + 1, Counter(conv2d=1, add=1)
    ),
    "a factor": (
        lambda x, w: torch.add(x, fastconv.functional.conv2d(x, w, padding=1), alpha=2),
        Counter(conv2d=1, add=1),
    ),
    "a broadcast sum": (
        lambda x, w: (fastconv.functional.conv2d(x, w, padding=1) + x[:1]).relu(),
        Counter(conv2d=1, add=1, relu=1, slice=1),
    ),
    "another layout": (
        lambda x, w: fastconv.functional.conv2d(x, w, padding=1)
        + x.contiguous(memory_format=torch.channels_last),
        Counter(conv2d=1, add=1, clone=1),
    ),
    "a sum whose sum is used": (
        lambda x, w: (lambda y: (y, y.relu()))(fastconv.functional.conv2d(x, w, padding=1) + x),
        Counter(conv2d_fused=1, relu=1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FUSED)
def test_graphs_that_are_not_frozen(name, graphs):
    function, operators = FUSED[name]
    w = torch.randn(8, 8, 3, 3, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        got, want = torch.compile(function, backend=graphs)(X, w), function(X, w)
    for g, r in zip(*((t if isinstance(t, tuple) else (t,)) for t in (got, want)), strict=True):
        close(g, r)
    assert graphs.seen == [operators]


@pytest.mark.parametrize("activation", [nn.GELU(), nn.SiLU()], ids=str)
def test_other_activations_stay(activation, graphs):
    model = fastconv.convert(nn.Sequential(nn.Conv2d(8, 4, 3), activation)).eval()
    with torch.no_grad():
        close(torch.compile(model, backend=graphs)(X), model(X))
    (seen,) = graphs.seen
    assert seen["conv2d"] == 1 and "conv2d_fused" not in seen


def test_dynamic_extents_and_training(graphs):
    model = fastconv.convert(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()))
    compiled = torch.compile(model, backend=graphs, dynamic=True)
    with torch.no_grad():
        for x in (X, X[:1, :, 2:].contiguous()):
            close(compiled(x), model(x))
    assert set(map(str, graphs.seen)) == {str(Counter(conv2d_fused=1))}
    graphs.seen.clear()
    results = []
    for call in (torch.compile(model, backend=graphs), model):
        y = call(X)
        results.append((y, *torch.autograd.grad(y.square().sum(), list(model.parameters()))))
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)
    forward, _ = graphs.seen
    assert forward["conv2d_fused"] == 1 and "relu" not in forward


def test_a_traced_graph_module_is_left_alone():
    """The rewriting belongs to inductor: exported graphs keep operators that exporters know."""
    model = evaluated(Block(True))
    program = torch.export.export(model, (X,))
    assert isinstance(program.module(), GraphModule)
    assert "conv2d_fused" not in str(program.graph)
