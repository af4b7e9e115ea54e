"""Gradients of plain eager calls: compiled nodes, which save, check and let go as torch's do."""

import weakref

import pytest
import torch
from eager_calls import CALLS, B, W, X, torch_twin

from fastconv import functional

pytestmark = pytest.mark.usefixtures("host")


@pytest.mark.parametrize("name", CALLS)
def test_gradients_come_from_compiled_nodes(name, host):
    _, call, args = CALLS[name]
    mine, theirs = args[0].clone().requires_grad_(), args[0].clone().requires_grad_()
    y = call(mine, *args[1:])
    assert y.grad_fn.name().startswith({"_torch": "Fastconv", "_C": "Plain"}[host])
    want = torch_twin(name, (theirs, *args[1:]))
    grad = torch.randn_like(y)
    y.backward(grad)
    want.backward(grad)
    torch.testing.assert_close(mine.grad, theirs.grad)


class SavedTensors(torch.autograd.graph.saved_tensors_hooks):
    def __init__(self):
        self.tensors = []
        super().__init__(lambda t: self.tensors.append(t) or t, lambda t: t)


def test_only_what_backward_needs_is_saved():
    for x_grad, w_grad in ((False, True), (True, False), (True, True)):
        x, w = X.clone().requires_grad_(x_grad), W.clone().requires_grad_(w_grad)
        saved = SavedTensors()
        with saved:
            functional.conv2d(x, w, B, groups=2)
        kept = [x] * w_grad + [w] * x_grad
        assert [t.data_ptr() for t in saved.tensors] == [t.data_ptr() for t in kept]


def gradients(args, wanted, grad_y, **kwargs):
    y = functional.conv2d(*args, padding=1, groups=2)
    return torch.autograd.grad(y, wanted, grad_y, **kwargs)


def leaves(dtype=torch.float64):
    return [t.to(dtype).requires_grad_() for t in (X, W, B)]


def test_each_set_of_gradients():
    x, w, b = leaves()
    grad_y = torch.randn(2, 6, 7, 6, dtype=torch.float64)
    want = dict(zip((x, w, b), torch.autograd.grad(
        torch.conv2d(x, w, b, padding=1, groups=2), (x, w, b), grad_y), strict=True))  # fmt: skip
    for wanted in ((x,), (w,), (b,), (x, w), (x, b), (w, b), (x, w, b)):
        for grad, t in zip(gradients((x, w, b), wanted, grad_y), wanted, strict=True):
            torch.testing.assert_close(grad, want[t])


GRAD_YS = {
    "other_format": lambda g: g.contiguous(memory_format=torch.channels_last),
    "not_dense": lambda g: g.repeat_interleave(2, 3)[..., ::2],
    "expanded": lambda g: g[:1, :1, :1, :1].expand_as(g),
    "subclass": lambda g: g.as_subclass(type("Mine", (torch.Tensor,), {})),
    "negated": lambda g: torch._neg_view(g),
    "zeros_without_memory": lambda g: torch._efficientzerotensor(g.shape, dtype=g.dtype),
}


@pytest.mark.parametrize("kind", GRAD_YS)
@pytest.mark.parametrize("name", CALLS)
def test_any_grad_y(kind, name):
    _, call, args = CALLS[name]
    x = args[0].clone().requires_grad_()
    y, want = call(x, *args[1:]), torch_twin(name, (x, *args[1:]))
    grad_y = GRAD_YS[kind](torch.randn_like(y))
    mine, theirs = (torch.autograd.grad(t, x, grad_y)[0] for t in (y, want))
    torch.testing.assert_close(torch.Tensor(mine), torch.Tensor(theirs))


@pytest.mark.parametrize("name", CALLS)
def test_gradients_of_gradients(name):
    _, call, args = CALLS[name]
    args = [t.double() if isinstance(t, torch.Tensor) else t for t in args]
    assert torch.autograd.gradgradcheck(
        lambda *t: call(*t, *args[len(t) :]),
        [t.clone().requires_grad_() for t in args if isinstance(t, torch.Tensor)],
    )


def test_a_backward_that_is_watched_is_seen():
    class Seen(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            names.append(str(function))
            return function(*args, **(kwargs or {}))

    names = []
    x, w, b = leaves()
    y = functional.conv2d(x, w, b, groups=2).sum()
    with Seen():
        y.backward()
    assert "fastconv.conv2d_backward_input.default" in names
    assert "fastconv.conv2d_backward_weight.default" in names


def test_tensors_changed_after_the_call_are_refused():
    x, w, b = leaves()
    y = functional.conv2d(x, w, b, groups=2).sum()
    with torch.no_grad():
        w += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_a_second_backward_needs_retain_graph():
    x, w, b = leaves()
    y = functional.conv2d(x, w, b, groups=2).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.backward()


def test_saved_tensors_may_come_back_in_another_form():
    x, w, b = leaves()
    want = gradients((x, w, b), (x, w, b), grad_y := torch.randn(2, 6, 7, 6).double())
    away = torch.autograd.graph.saved_tensors_hooks(
        lambda t: t.detach().clone(), lambda t: t.contiguous(memory_format=torch.channels_last)
    )
    with away:
        y = functional.conv2d(x, w, b, padding=1, groups=2)
    for mine, theirs in zip(torch.autograd.grad(y, (x, w, b), grad_y), want, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_errors_of_a_backward_reach_python():
    x, w, b = leaves()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t[:1]):
        y = functional.conv2d(x, w, b, groups=2).sum()
    with pytest.raises((RuntimeError, ValueError)):
        y.backward()


def test_compiled_autograd(host):
    if host == "_torch" and torch.__version__ < "2.8":
        pytest.skip("fastconv._torch's nodes have no compiled autograd there")
    from torch._dynamo import compiled_autograd

    def train(call):
        x, w, b = leaves(torch.float32)
        y = functional.max_pool2d(call(x, w, b, groups=2), 2)
        functional.avg_pool2d(y, 2).square().sum().backward()
        return x.grad, w.grad, b.grad

    want = train(torch.conv2d)
    with compiled_autograd._enable(torch.compile(backend="eager")):
        for _ in range(2):
            for mine, theirs in zip(train(functional.conv2d), want, strict=True):
                torch.testing.assert_close(mine, theirs)


def test_the_graph_lets_go_of_its_tensors():
    x, w, b = leaves()
    kept = weakref.ref(x)
    y = functional.conv2d(x * 1, w, b, groups=2)
    del x, y
    assert kept() is None
