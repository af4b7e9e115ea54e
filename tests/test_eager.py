"""The short way of plain eager calls: taken by them, declined by all others, with equal results."""

import threading
import weakref

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad

from fastconv import eager, functional


@pytest.fixture(autouse=True, params=["_torch", "_C"])
def host(request):
    """The library that answers for torch."""
    if request.param not in eager.hosts:
        pytest.skip(f"fastconv.{request.param} has no host for this torch")
    eager.use(request.param)
    yield request.param
    eager.use(next(iter(eager.hosts)))


X, W, B = torch.randn(2, 4, 7, 6), torch.randn(6, 2, 3, 3), torch.randn(6)
CALLS = {
    "conv2d": (eager.conv2d, functional.conv2d, (X, W, B, 2, (1, 0), 1, 2)),
    "max_pool2d": (eager.max_pool2d, functional.max_pool2d, (X, 3, 2, 1, 1, True)),
    "avg_pool2d": (eager.avg_pool2d, functional.avg_pool2d, (X, 2, None, 0, False, False, 3)),
    "adaptive_avg_pool2d": (
        eager.adaptive_avg_pool2d, functional.adaptive_avg_pool2d, (X, (3, None)),
    ),
}  # fmt: skip


def torch_twin(name, args):
    return getattr(torch.nn.functional, name)(*args)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_plain_calls_take_it(name, dtype, memory_format):
    short, _, args = CALLS[name]
    args = tuple(a.to(dtype) if isinstance(a, torch.Tensor) else a for a in args)
    args = (args[0].contiguous(memory_format=memory_format), *args[1:])
    for _ in range(2):  # with a new plan and with a known one
        y = short(*args)
        want = torch_twin(name, args)
        torch.testing.assert_close(y, want)
        assert y.is_contiguous(memory_format=memory_format)
    y.resize_(1000)  # memory of its own, as torch's


def test_the_optional_library_was_built():
    """Where torch is importable at build time; its failure to build is no error of setup.py."""
    assert "_torch" in eager.hosts


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


def test_compiled_autograd():
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


NOT_PLAIN = {
    "list_argument": (X, W, B, [1, 1], 0, 1, 2),
    "float_argument": (X, W, B, 1.0, 0, 1, 2),
    "bool_argument": (X, W, B, (True, 1), 0, 1, 2),
    "numpy_argument": (X, W, B, np.int64(1), 0, 1, 2),
    "huge_argument": (X, W, B, 2**70, 0, 1, 2),
    "long_tuple": (X, W, B, (1, 1, 1), 0, 1, 2),
    "unknown_padding": (X, W, B, 1, "full", 1, 2),
    "wrong_groups": (X, W, B, 1, 0, 1, 1),
    "unbatched": (X[0], W, B, 1, 0, 1, 2),
    "not_dense": (X[..., ::2], W, B, 1, 0, 1, 2),
    "bias_not_dense": (X, W, torch.randn(12)[::2], 1, 0, 1, 2),
    "empty": (X[:0], W, B, 1, 0, 1, 2),
    "float16": (X.half(), W.half(), None, 1, 0, 1, 2),
    "mixed_types": (X, W.double(), None, 1, 0, 1, 2),
    "integers": (X.long(), W.long(), None, 1, 0, 1, 2),
    "meta": (X.to("meta"), W.to("meta"), None, 1, 0, 1, 2),
    "sparse": (X.to_sparse(), W, B, 1, 0, 1, 2),
    "negated_view": (torch._neg_view(X), W, B, 1, 0, 1, 2),
    "zeros_without_memory": (torch._efficientzerotensor(X.shape), W, B, 1, 0, 1, 2),
    "subclass": (X.as_subclass(type("Mine", (torch.Tensor,), {})), W, B, 1, 0, 1, 2),
    "no_tensor": ([[1.0]], W, B, 1, 0, 1, 2),
}


@pytest.mark.parametrize("case", NOT_PLAIN)
def test_other_calls_are_declined(case):
    assert eager.conv2d(*NOT_PLAIN[case]) is None
    assert not torch._C._len_torch_dispatch_stack()


def test_watched_calls_are_declined():
    args = CALLS["conv2d"][2]
    with torch.autocast("cpu"):
        assert eager.conv2d(*args) is None
    with torch.autograd.profiler.profile():
        assert eager.conv2d(*args) is None
    with torch.device("cpu"):
        assert eager.conv2d(*args) is None
    with forward_ad.dual_level():
        assert eager.conv2d(*args) is None
    torch.func.vmap(lambda x: [None, eager.conv2d(x, *args[1:])][0] or x)(X[None])
    assert eager.conv2d(*args) is not None


def test_inference_mode_and_back():
    args = (torch.randn(1, 2, 9, 9), torch.randn(3, 2, 3, 3), None, 1, 0, 1, 1)
    with torch.inference_mode():
        assert eager.conv2d(*args).is_inference()
    y = eager.conv2d(*args)
    assert not y.is_inference()
    y.requires_grad_().sum().backward()


def test_views_with_an_offset_read_their_own_memory():
    base = torch.randn(3, 4, 7, 6)
    torch.testing.assert_close(
        eager.conv2d(base[1:], W, B, 1, 0, 1, 2), torch.conv2d(base[1:], W, B, groups=2)
    )


def test_more_kinds_of_calls_than_plans():
    x = torch.randn(1, 1, 3, 3)
    for n in range(5000):  # every padding is another plan
        assert eager.avg_pool2d(x, 1, n + 1, 0, False, True, None).shape == (
            1,
            1,
            *[-(-3 // (n + 1))] * 2,
        )


def test_threads_share_the_plans():
    failures = []

    def work(seed):
        generator = torch.Generator().manual_seed(seed)
        for i in range(200):
            size = 3 + (i * 7 + seed) % 40
            x = torch.randn(1, 2, size, 5, generator=generator)
            w = torch.randn(2, 2, 3, 3, generator=generator)
            y = eager.conv2d(x, w, None, 1, 1, 1, 1)
            if not torch.allclose(y, torch.conv2d(x, w, padding=1), atol=1e-4):
                failures.append(size)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    assert not failures
