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


def test_two_changes_that_once_cancelled():
    x, w = torch.randn(1, 64, 56, 56), torch.ones(64, 64, 3, 3)
    cached(x, w)
    for lanes in (4, 8, 16):
        w.fill_(1)
        cached(x, w)
        w.view(-1)[7] = -1
        w.view(-1)[7 + 8 * lanes] = -1.0078125
        assert torch.equal(cached(x, w), plain(x, w))


def test_every_bit_counts():
    for size in (1, 3, 4, 255, 256, 257, 1100, 4097):  # around whole groups of vectors, and blocks
        a = np.random.default_rng(size).integers(0, 256, size, np.uint8)
        seen = {checksum(a)}
        for i in range(8 * size):
            a[i // 8] ^= 1 << i % 8
            seen.add(checksum(a))
            a[i // 8] ^= 1 << i % 8
        assert len(seen) == 8 * size + 1
        assert checksum(a) in seen


BLOCK, CHUNK = 1024, 65536  # words of csrc/cpu/checksum.cpp
DISTANCES = sorted({1, 3, 9, *(2**i for i in range(17)), *(8 * n for n in range(1, 33)),
                    BLOCK - 1, BLOCK + 1, 3 * BLOCK, CHUNK - 1, CHUNK + BLOCK})  # fmt: skip
CONTENTS = {
    "zeros": lambda numbers: np.zeros(2 * CHUNK, np.float32),
    "ones": lambda numbers: np.ones(2 * CHUNK, np.float32),
    "ramp": lambda numbers: np.arange(2 * CHUNK, dtype=np.float32),
    "random": lambda numbers: numbers.standard_normal(2 * CHUNK).astype(np.float32),
}
SIGN, ALL = 1 << 31, 1 << 32


def word_changes(numbers: np.random.Generator) -> list:
    """(f, g): of two words, as integers modulo 2^32."""
    bits = [1 << int(i) for i in numbers.choice(32, 4, replace=False)]
    pairs = [(lambda a, d=d: a ^ d, lambda b, e=e: b ^ e) for d in (SIGN, *bits)
             for e in (SIGN, SIGN | 1 << 16, d, d ^ d >> 15, d >> 1)]  # fmt: skip
    steps = [1, 2, 1 << 16, 1 << 23, int(numbers.integers(1, ALL))]
    pairs += [(lambda a, s=s: a + s, lambda b, s=s, t=t: b + t * s)
              for s in steps for t in (1, -1, 2, -2)]  # fmt: skip
    return pairs


@pytest.mark.parametrize("content", CONTENTS)
def test_changes_of_two_words_do_not_cancel(content):
    numbers = np.random.default_rng(1)
    words = CONTENTS[content](numbers).view(np.uint32)
    before = words.copy()
    for distance in DISTANCES:
        size = min(len(words), max(2 * BLOCK, 2 * distance))
        start = int(numbers.integers(0, len(words) - size + 1))
        part = words[start : start + size]  # so that short ones take little time
        whole = checksum(part)
        for f, g in word_changes(numbers):
            i = int(numbers.integers(0, size - distance))
            a, b = int(part[i]), int(part[i + distance])
            part[i], part[i + distance] = int(f(a)) % ALL, int(g(b)) % ALL
            assert (a, b) == (part[i], part[i + distance]) or checksum(part) != whole, distance
            part[i], part[i + distance] = a, b
    assert np.array_equal(words, before)


@pytest.mark.parametrize("row", [1, 2, 3, 9, 64, 576, BLOCK, 2 * BLOCK, CHUNK])
def test_moves_and_swaps_of_rows(row):
    """Such as differ in nothing but their places."""
    numbers = np.random.default_rng(row)
    count = max(4, min(64, 3 * CHUNK // row))
    a = numbers.standard_normal((count, row)).astype(np.float32)
    whole = checksum(a)
    for _ in range(100):
        swap = numbers.choice(count, 2, replace=False)
        a[swap] = a[swap[::-1]]
        assert checksum(a) != whole
        a[swap] = a[swap[::-1]]
    assert checksum(a) == whole
    lone = np.zeros((count, count, row), np.float32)  # one row among zeros, in every place
    lone[range(count), range(count)] = a[0]
    assert len({checksum(among_zeros) for among_zeros in lone}) == count
    assert len({checksum(np.roll(a, i, axis=0)) for i in range(count)}) == count
    permuted = [numbers.permutation(count) for _ in range(100)]
    distinct = {tuple(p) for p in permuted}
    assert len({checksum(a[p]) for p in permuted}) == len(distinct)


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
