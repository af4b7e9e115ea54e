"""The CUDA kernels on a GPU: what the SIMT shim cannot know. Skipped by name where none is; make
gpu-check runs this file after its smoke cases (docs/cuda.md)."""

import pytest
import torch

import fastconv
from benchmarks.gpu import smoke
from fastconv.core import ops

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available() or "cuda" not in ops.conv2d.plains,
    reason="no GPU is here, or fastconv._C_cuda is not built",
)
F = fastconv.functional
LAST = torch.channels_last
CHECKS = list(smoke.checks("cuda", False))


@pytest.fixture(autouse=True)
def ours():
    with fastconv.flags(cuda="fastconv"):
        yield


@pytest.mark.parametrize("index", range(len(CHECKS)), ids=[c[0] for c in CHECKS])
def test_smoke(monkeypatch, index):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    _, check, *arguments = CHECKS[index]
    check(*arguments)


def layer(dtype=torch.float16):
    x = torch.randn(8, 32, 20, 20, device="cuda", dtype=dtype).to(memory_format=LAST)
    w = torch.randn(64, 32, 3, 3, device="cuda", dtype=dtype).to(memory_format=LAST)
    return x.requires_grad_(), w.requires_grad_()


def results(x, w):
    y = F.avg_pool2d(F.max_pool2d(F.conv2d(x, w, padding=1), 2), 2)
    return y, *torch.autograd.grad(y.float().square().sum(), (x, w))


def test_results_repeat_to_the_last_bit():
    tensors = layer(torch.float32)
    first = results(*tensors)
    for _ in range(10):
        assert all(torch.equal(a, b) for a, b in zip(first, results(*tensors), strict=True))


def test_a_graph_captures_forward_and_backward():
    x, w = layer()
    want = results(x, w)
    torch.cuda.synchronize()
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        results(x, w)
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph):
        got = results(x, w)
    graph.replay()
    torch.cuda.synchronize()
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


def test_calls_follow_the_current_stream():
    x, w = layer()
    want = results(x, w)
    stream = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream), torch.no_grad():
        torch.cuda._sleep(20_000_000)
        late = torch.zeros_like(x)
        late.copy_(x)
        got = F.conv2d(late, w, padding=1)
    stream.synchronize()
    assert torch.equal(got, F.conv2d(x, w, padding=1)) and want[0].isfinite().all()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU is here")
def test_tensors_of_another_device_than_the_current_one():
    x = torch.randn(2, 8, 9, 9, device="cuda:1")
    w = torch.randn(8, 1, 3, 3, device="cuda:1")
    y = F.conv2d(x, w, groups=8)
    assert y.device == x.device and torch.cuda.current_device() == 0
    assert torch.allclose(y.cpu(), F.conv2d(x.cpu(), w.cpu(), groups=8), atol=1e-5)


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
def test_more_than_2_to_the_31_elements(last):
    """Rows 11 to 14 of what users report: the ends of the tensor are right."""
    if torch.cuda.mem_get_info()[0] < 14e9:
        pytest.skip("14 GB of free memory are needed")
    layout = LAST if last else torch.contiguous_format
    x = torch.empty(2, 33, 8192, 4096, device="cuda", dtype=torch.float16)
    x = x.to(memory_format=layout).normal_()
    w = torch.randn(33, 1, 3, 3, device="cuda", dtype=torch.float16)
    y = F.conv2d(x, w, padding=1, groups=33)
    pooled = F.max_pool2d(x, 2)
    for n, c in ((0, 0), (1, 32)):
        rows, filters = x[n : n + 1, c : c + 1, -4:], w[c : c + 1]
        want = torch.nn.functional.conv2d(rows.float(), filters.float(), padding=1)
        assert torch.allclose(y[n, c, -2:].float(), want[0, 0, -2:], atol=2e-2, rtol=2e-3)
        assert torch.equal(pooled[n, c, -2:], F.max_pool2d(rows, 2)[0, 0, -2:])
