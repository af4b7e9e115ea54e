"""Filters kept between calls: the same bits as without, no more bytes than allowed, and who keeps
them."""

import threading

import pytest
import torch
from cached_filters import ARGS, cached, layer, plain
from cases import ConvCase
from raw_kernels import DTYPES, LAYOUTS, NUMBERS, Conv, buffer, unwritten
from torch.utils._python_dispatch import TorchDispatchMode

import fastconv
from fastconv import functional
from fastconv.core import ops
from fastconv.core.extension import _C

pytestmark = pytest.mark.usefixtures("empty_filter_cache")

CASES = [
    ConvCase("shared", 2, 33, 40, 37, 31, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("shared_groups", 5, 34, 24, 30, 70, 3, 3, padding=(1, 1, 1, 1), groups=2),
    ConvCase("shared_5x5", 6, 20, 12, 12, 50, 5, 5, padding=(2, 2, 2, 2)),
]
PRIVATE = [
    ConvCase("few_blocks", 1, 20, 6, 6, 70, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("few_blocks_groups", 1, 24, 9, 9, 18, 3, 3, groups=3),
    ConvCase("large_filters", 7, 250, 20, 20, 300, 3, 3, padding=(1, 1, 1, 1)),
]


def forward(conv: Conv, cached: bool, threads: int = 2) -> torch.Tensor:
    y = unwritten(conv.y_size, conv.dtype)
    _C.conv2d_forward(NUMBERS[conv.dtype], conv.shape, buffer(conv.x), buffer(conv.w),
                      buffer(conv.bias), buffer(y), threads, "winograd", cached)  # fmt: skip
    return y


def filter_bytes(channels: int = 32) -> int:
    """Of one layer() in the cache."""
    fastconv.clear_filter_cache()
    cached(*layer(channels=channels))
    used = _C.filter_cache_bytes()
    fastconv.clear_filter_cache()
    return used


# ---- results -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_same_bits_with_and_without(case, layout, dtype):
    conv = Conv(case, dtype, layout)
    expected = forward(conv, False)
    number, path = NUMBERS[dtype], "winograd"
    filters = _C.conv2d_bytes_with_cached_filters(number, conv.shape, 2, path)[1]
    for threads in (2, 1, 3):  # the first transforms, the others find
        assert torch.equal(forward(conv, True, threads), expected)
        assert _C.filter_cache_bytes() == filters > 0
    for threads in (1, 2, 5):
        whole = _C.conv2d_workspace_bytes("forward", number, conv.shape, threads, path)
        saved = whole - _C.conv2d_bytes_with_cached_filters(number, conv.shape, threads, path)[0]
        assert saved == filters


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", PRIVATE, ids=lambda c: c.name)
def test_private_filters_are_not_kept(case, layout):
    conv = Conv(case, torch.float32, layout)
    assert torch.equal(forward(conv, True), forward(conv, False))
    assert _C.filter_cache_bytes() == 0
    whole = _C.conv2d_workspace_bytes("forward", _C.DTYPES["float32"], conv.shape, 2, "winograd")
    assert _C.conv2d_bytes_with_cached_filters(_C.DTYPES["float32"], conv.shape, 2, "winograd") == (
        whole,
        0,
    )


def test_filters_depend_on_no_more_of_the_input_than_its_form():
    """One entry serves every batch and extent of narrow maps, another those of others."""
    _, w = layer()
    last = w.contiguous(memory_format=torch.channels_last)
    narrow, wide, used = ((1, 32, 800, 4), (2, 32, 700, 3)), ((4, 32, 40, 44), (2, 32, 9, 150)), [0]
    for weight, sizes in ((w, narrow), (w, wide), (last, narrow)):
        for size in sizes:
            x = torch.randn(size)
            assert torch.equal(cached(x, weight), plain(x, weight))
            used.append(_C.filter_cache_bytes())
        assert used[-3] < used[-2] == used[-1]


def test_two_views_of_one_memory():
    """The same address and the same bytes, but other extents."""
    memory = torch.randn(64 * 16 * 9)
    for w, groups in ((memory.view(64, 16, 3, 3), 1), (memory.view(16, 64, 3, 3), 1),
                      (memory.view(64, 16, 3, 3), 4), (memory.view(64, 16, 3, 3), 2)):  # fmt: skip
        x = torch.randn(1, w.shape[1] * groups, 9, 9)
        args = (*ARGS[:3], groups)
        assert torch.equal(ops.conv2d(x, w, None, *args, True), ops.conv2d(x, w, None, *args))


# ---- bound, eviction, flag -----------------------------------------------------------------------


def test_the_least_recently_used_go():
    one = filter_bytes()
    _C.filter_cache_set_bound(3 * one)
    x, _ = layer()
    weights = [layer(seed)[1] for seed in range(5)]
    expected = [plain(x, w) for w in weights]
    for i in (0, 1, 2, 0, 3, 0, 4, 1, 2, 3, 4):
        assert torch.equal(cached(x, weights[i]), expected[i])
        assert _C.filter_cache_bytes() <= _C.filter_cache_bound() == 3 * one
    assert _C.filter_cache_bytes() == 3 * one
    _C.filter_cache_set_bound(2 * one)
    assert _C.filter_cache_bytes() == 2 * one
    fastconv.clear_filter_cache()
    assert _C.filter_cache_bytes() == 0


def test_filters_beyond_the_bound_are_not_kept():
    small, (x, w) = filter_bytes(16), layer(channels=64)
    _C.filter_cache_set_bound(small)
    cached(*layer(channels=16))
    assert torch.equal(cached(x, w), plain(x, w))
    assert _C.filter_cache_bytes() == small
    shape = ops.conv2d_shape(x.shape, w.shape, ARGS, False, False, False)
    assert _C.conv2d_bytes_with_cached_filters(_C.DTYPES["float32"], shape, 2) == (
        _C.conv2d_workspace_bytes("forward", _C.DTYPES["float32"], shape, 2), 0)  # fmt: skip


def test_the_default_bound_holds_the_filters_of_vgg16():
    widths = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    sizes = 0
    for before, after in zip([3, *widths], widths, strict=False):
        shape = _C.Conv2dShape((1, before, 64, 64), (after, before, 3, 3), *ARGS)
        sizes += _C.conv2d_bytes_with_cached_filters(_C.DTYPES["float32"], shape, 2)[1]
    assert sizes <= _C.FILTER_CACHE_BOUND


def test_the_flag():
    x, w = layer()
    cached(x, w)
    with fastconv.flags(filter_cache=False):
        assert _C.filter_cache_bytes() == 0
        assert torch.equal(cached(x, w), plain(x, w))
        assert _C.filter_cache_bytes() == 0
        with fastconv.flags(winograd=False):  # says nothing of the cache
            assert _C.filter_cache_bound() == 0
        with fastconv.flags(filter_cache=True):
            cached(x, w)
            assert 0 < _C.filter_cache_bytes() <= _C.filter_cache_bound()
        assert _C.filter_cache_bytes() == 0
    assert _C.filter_cache_bound() == _C.FILTER_CACHE_BOUND


# ---- who uses it ---------------------------------------------------------------------------------


class _Watching(TorchDispatchMode):
    """Sees every operator, so that functional.conv2d goes the general way."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


def general(x, w, bias=None):
    with _Watching():
        return functional.conv2d(x, w, bias, padding=1)


def test_calls_without_gradients_use_it():
    x, w = layer()
    parameter = torch.nn.Parameter(w)
    general(x, parameter).sum().backward()
    general(x.clone().requires_grad_(), w).sum().backward()
    assert _C.filter_cache_bytes() == 0
    with torch.no_grad():
        y = general(x, parameter)
    assert _C.filter_cache_bytes() > 0
    assert torch.equal(y, plain(x, w))
    with torch.inference_mode():
        assert torch.equal(general(x, parameter), y)
    parameter.data.neg_()
    assert torch.equal(general(x, parameter.detach()), plain(x, parameter.detach()))


def test_copies_are_not_kept():
    x, w = layer()
    cached(x, w.expand_as(w).transpose(2, 3))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        fastconv.functional.conv2d(x, w, padding=1)
    assert _C.filter_cache_bytes() == 0


def test_explain_tells_its_bytes():
    x, w = layer()
    shape = ops.conv2d_shape(x.shape, w.shape, ARGS, False, False, False)
    workspace, filters = _C.conv2d_bytes_with_cached_filters(
        _C.DTYPES["float32"], shape, torch.get_num_threads()
    )
    said = fastconv.explain(x, w, padding=1)["forward"]
    assert said == f"winograd, {workspace} bytes, {filters} bytes of filters kept"
    assert filters == filter_bytes()
    assert "kept" not in fastconv.explain(x, torch.nn.Parameter(w), padding=1)["forward"]


def test_threads_calling_at_once():
    _C.filter_cache_set_bound(2 * filter_bytes())
    layers = [layer(seed) for seed in range(4)]
    expected = [plain(*pair) for pair in layers]
    wrong = []

    def work(start: int) -> None:
        for i in range(start, start + 60):
            if i % 29 == 0:
                fastconv.clear_filter_cache()
            if not torch.equal(cached(*layers[i % 4]), expected[i % 4]):
                wrong.append(i)

    workers = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
    assert _C.filter_cache_bytes() <= _C.filter_cache_bound()
