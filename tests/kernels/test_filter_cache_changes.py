"""A weight that changes while its transformed filters are kept: the checksum tells, and the results
are of the new one."""

import numpy as np
import pytest
import torch
from cached_filters import cached, layer, plain

from fastconv import _debug
from fastconv.core.extension import _C

pytestmark = pytest.mark.usefixtures("empty_filter_cache")


def _numpy(w):
    w.numpy()[3, 4, 1, 2] += 1


def _optimizer(w):
    parameter = torch.nn.Parameter(w)
    parameter.grad = torch.ones_like(w)
    torch.optim.SGD([parameter], lr=0.1).step()


def _swap(w):
    w[0], w[-1] = w[-1].clone(), w[0].clone()


CHANGES = {
    "one element": lambda w: w[5, 6, 0, 0].mul_(1.5),
    "last element": lambda w: w[-1, -1, -1, -1].add_(1),
    "all signs": lambda w: w.neg_(),
    "all doubled": lambda w: w.mul_(2),
    "two signs": lambda w: w[:2, 0, 0, 0].neg_(),
    "two filters swapped": _swap,
    "turned round": lambda w: w.copy_(w.flip((2, 3))),
    "data": lambda w: w.data.mul_(0.99),
    "numpy": _numpy,
    "optimizer": _optimizer,
}


@pytest.mark.parametrize("channels", [16, 64, 256])  # w has 9 KiB, 144 KiB, 9 chunks of checksum
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_takes_effect(change, channels):
    x, w = layer(channels=channels)
    before, used = cached(x, w), _C.filter_cache_bytes()
    CHANGES[change](w)
    after = cached(x, w)
    assert torch.equal(after, plain(x, w)) and not torch.equal(after, before)
    assert _C.filter_cache_bytes() == used  # in place of the old ones


def checksum(a: np.ndarray, threads: int = 1) -> int:
    return _debug.checksum(a.ctypes.data, a.nbytes, threads)


def test_every_bit_counts():
    for size in (1, 3, 4, 511, 512, 513, 1100):  # around whole blocks of 8 vectors
        a = np.random.default_rng(size).integers(0, 256, size, np.uint8)
        seen = {checksum(a)}
        for i in range(8 * size):
            a[i // 8] ^= 1 << i % 8
            seen.add(checksum(a))
            a[i // 8] ^= 1 << i % 8
        assert len(seen) == 8 * size + 1
        assert checksum(a) in seen


def test_checksum_of_structured_changes():
    """What training and quantising do to many words at once, where weak sums cancel."""
    for words in (64, 2**10, 2**16, 2**18 + 3):
        a = np.random.default_rng(words).standard_normal(words).astype(np.float32)
        variants = [a, -a, 2 * a, a / 2, np.abs(a), -np.abs(a), a[::-1], np.roll(a, 1),
                    np.roll(a, 2**7), np.roll(a, 2**16), np.zeros_like(a), np.ones_like(a),
                    np.where(np.arange(words) % 2, a, -a)]  # fmt: skip
        distinct = {v.tobytes() for v in variants}
        assert len({checksum(np.frombuffer(v, np.uint8)) for v in distinct}) == len(distinct)


def test_checksum_is_the_same_for_any_thread_count():
    a = np.random.default_rng(0).integers(0, 256, 5 * 2**18 + 77, np.uint8)
    assert len({checksum(a, threads) for threads in (1, 2, 3, 7)}) == 1


def test_another_weight_at_the_same_address():
    x, first = layer()
    memory = torch.empty_like(first)
    for seed in range(3):
        w = torch.from_numpy(np.frombuffer(memory.numpy(), np.float32).reshape(first.shape))
        memory.copy_(torch.randn(first.shape, generator=torch.Generator().manual_seed(seed)))
        assert torch.equal(cached(x, w), plain(x, w))
    addresses = set()
    for seed in range(20):  # the allocator hands the same block out again
        x, w = layer(seed)
        addresses.add(w.data_ptr())
        assert torch.equal(cached(x, w), plain(x, w))
        del w
    assert len(addresses) < 20
