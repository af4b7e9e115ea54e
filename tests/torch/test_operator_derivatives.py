"""Operators met outside our Functions differentiate: by their names, in exported, traced and
compiled graphs; backward and forward, of any order, under torch.func.
"""

import bare_operators
import pytest
import torch
from derivatives import CONVS, POOLS, conv_inputs, network, network_tensors
from reference import assert_all_equal
from seen import Operators
from small_net import Net, X, step
from tensors import distinct, fill, whole
from test_autograd_gradcheck import FIRST, SECOND
from test_autograd_transforms import TRANSFORMS
from test_operators import ALL_SEEN, OPERATORS, operator_samples
from torch import Tensor, nn
from torch.autograd import forward_ad, gradcheck, gradgradcheck

import fastconv

F = torch.nn.functional
_ops = torch.ops.fastconv
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*torch.jit", "ignore:There is a performance drop:UserWarning"
)


@pytest.mark.parametrize("name", CONVS)
def test_gradcheck_conv2d(name: str):
    function = lambda *t: bare_operators.conv2d(*t, **CONVS[name][2])  # noqa: E731
    assert gradcheck(function, conv_inputs(name), **FIRST)
    assert gradgradcheck(function, conv_inputs(name), **SECOND)


@pytest.mark.parametrize("name", POOLS)
def test_gradcheck_pools(name: str):
    pool, size, args = POOLS[name]
    x = distinct(*size).requires_grad_()
    function = lambda x: getattr(bare_operators, pool)(x, *args)  # noqa: E731
    assert gradcheck(function, (x,), **FIRST)
    assert gradgradcheck(function, (x,), **SECOND)


def _floats_lead(sample: tuple) -> tuple[list[Tensor], tuple]:
    """The tensors of a sample that have derivatives, and what follows them."""
    count = next(
        i for i, a in enumerate(sample) if not (isinstance(a, Tensor) and a.is_floating_point())
    )
    return [t.clone().requires_grad_() for t in sample[:count]], sample[count:]


@pytest.mark.parametrize("name", [n for n in OPERATORS if not n.endswith("_indices")])
def test_gradcheck_of_every_operator(name: str):
    for sample in operator_samples()[name]:
        leaves, rest = _floats_lead(sample)
        if name.endswith("max_pool2d"):  # no ties
            leaves = [distinct(*leaves[0].shape).requires_grad_()]

        def function(*t, rest=rest):
            results = getattr(_ops, name)(*t, *rest)
            results = results if isinstance(results, tuple) else (results,)
            return tuple(r for r in results if r.is_floating_point() and r.numel())

        assert gradcheck(function, leaves, check_forward_ad=True)
        assert gradgradcheck(function, leaves, check_fwd_over_rev=True)


@pytest.mark.parametrize("name", ["max_pool2d_indices", "adaptive_max_pool2d_indices"])
def test_indices_have_no_derivative(name: str):
    codes, x, *rest = operator_samples()[name][0]
    assert not getattr(_ops, name)(codes, x.requires_grad_(), *rest).requires_grad


@pytest.mark.parametrize("name", OPERATORS)
def test_opcheck_of_tensors_that_require_grad(name: str):
    for sample in operator_samples()[name]:
        leaves, rest = _floats_lead(sample)
        torch.library.opcheck(getattr(_ops, name).default, (*leaves, *rest))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transform(name: str):
    tensors = network_tensors()
    got, want = (TRANSFORMS[name](network(p), *tensors) for p in (bare_operators, F))
    assert_all_equal(got, want)


def test_functionalize():
    tensors = network_tensors()
    got = torch.func.functionalize(network(bare_operators))(*tensors)
    assert torch.equal(got, network(F)(*tensors))


def test_no_grad_inside_torch_func():
    """What is held constant at the inner layer is so at the outer one, as of torch's operators."""

    def function(conv):
        def run(x):
            with torch.no_grad():
                held = conv(x, w)
            return (held * conv(x, w)).sum()

        return torch.func.grad(lambda x: torch.func.grad(run)(x).square().sum())

    x, w = whole(1, 2, 4, 4), whole(2, 2, 2, 2)
    got, want = (function(p.conv2d)(x) for p in (bare_operators, F))
    assert_all_equal((got,), (want,))


def test_forward_mode_is_not_zero():
    x, w = whole(1, 2, 4, 4), whole(2, 2, 2, 2)
    results = []
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, x + 1)
        for package in (bare_operators, F):
            y = package.avg_pool2d(package.conv2d(dual, w), 2)
            results.append(forward_ad.unpack_dual(y).tangent)
    assert_all_equal((results[0],), (results[1],))


def test_functions_record_once():
    """What runs under an operator that records is one operator, no matter who applied it."""
    leaves = [t.requires_grad_() for t in network_tensors()]
    with Operators() as seen:
        y = network(bare_operators)(*leaves)
        y.backward()
    assert seen.names == ALL_SEEN


def _graphs(model: nn.Module) -> dict:
    program = torch.export.export(model, (X,))
    return {
        "exported": program.module(),
        "decomposed": program.run_decompositions().module(),
        "traced": torch.jit.trace(model, X),
    }


@pytest.mark.parametrize("name", ["exported", "decomposed", "traced"])
def test_graphs_train_every_weight(name: str):
    graph, like = _graphs(fill(Net()))[name], fill(Net(nn))
    parameters = [dict(graph.named_parameters())[n] for n, _ in like.named_parameters()]
    for _ in range(3):  # torch.jit optimizes what it has run
        assert_all_equal(step(graph, X, parameters), step(like, X, like.parameters()))
    with torch.no_grad():
        assert torch.equal(graph(X), like(X))


def test_graphs_made_without_gradients_train():
    with torch.no_grad():
        graphs = _graphs(fill(Net()))
    like = fill(Net(nn))
    for graph in graphs.values():
        parameters = [dict(graph.named_parameters())[n] for n, _ in like.named_parameters()]
        assert_all_equal(step(graph, X, parameters), step(like, X, like.parameters()))


def test_torch_func_of_an_exported_module():
    graph, like = torch.export.export(fill(Net()), (X,)).module(), fill(Net(nn))
    results = []
    for model in (graph, like):
        parameters = {n: dict(model.named_parameters())[n] for n, _ in like.named_parameters()}

        def loss(values, model=model):
            return torch.func.functional_call(model, values, (X,)).square().sum()

        gradients = torch.func.grad(loss)(parameters)
        _, tangent = torch.func.jvp(loss, (parameters,), (parameters,))
        results.append((*gradients.values(), tangent))
    assert_all_equal(*results)


def test_compiled_training_holds_single_operators(fresh_compiler):
    graphs = []

    def keep(graph, _):
        graphs.append([n.target._opname for n in graph.graph.nodes if "fastconv" in str(n.target)])
        return graph

    from functorch.compile import make_boxed_func
    from torch._dynamo.backends.common import aot_autograd

    backend = aot_autograd(
        fw_compiler=lambda g, a: make_boxed_func(keep(g, a)),
        bw_compiler=lambda g, a: make_boxed_func(keep(g, a)),
    )
    model = fill(fastconv.convert(Net(nn)))
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    compiled(X).sum().backward()
    forward, backward = graphs
    assert forward == ["conv2d", "max_pool2d", "conv2d", "avg_pool2d", "adaptive_avg_pool2d"]
    assert sorted(backward) == sorted([
        "adaptive_avg_pool2d_backward", "avg_pool2d_backward", "conv2d_backward_input",
        "conv2d_backward_weight", "max_pool2d_backward", "conv2d_backward_weight",
    ])  # fmt: skip
    with torch.no_grad():
        compiled(X)
    assert graphs[2] == forward
