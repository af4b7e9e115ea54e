"""The short way of plain eager calls: taken by them, declined by all others, with equal results."""

import threading

import numpy as np
import pytest
import torch
from eager_calls import CALLS, B, W, X, torch_twin
from torch.autograd import forward_ad

from fastconv.core import eager

pytestmark = pytest.mark.usefixtures("host")


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
