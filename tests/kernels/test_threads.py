"""Same bits for any thread count through the public functions, and kernels called from many Python
threads at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fastconv import functional


def step(x, w, bias):
    x, w, bias = (t.clone().requires_grad_() for t in (x, w, bias))
    y = functional.max_pool2d(functional.conv2d(x, w, bias, padding=1), 2)
    y = functional.avg_pool2d(y, 3, 2, 1)
    y.square().sum().backward()
    return y.detach(), x.grad, w.grad, bias.grad


@pytest.fixture
def tensors():
    return torch.randn(5, 7, 33, 31), torch.randn(19, 7, 3, 3), torch.randn(19)


def test_one_and_two_threads(tensors):
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 4, 70):  # 70: more than ranges of jobs (csrc/cpu/parallel.h)
            torch.set_num_threads(threads)
            results.append(step(*tensors))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_many_python_threads(tensors):
    expected = step(*tensors)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: step(*tensors), range(12)):
            assert all(torch.equal(a, b) for a, b in zip(expected, result, strict=True))
