"""Fixtures of the suite: seeds, and the state that torch and fastconv keep between calls."""

import os
import zlib

import pytest
import torch

import fastconv
from fastconv.core import eager
from fastconv.core.extension import _C


def pytest_collection_modifyitems(config, items):
    """Of the tests with parameters, FASTCONV_TESTS_EVERY=n runs one in n, chosen by name."""
    every = int(os.environ.get("FASTCONV_TESTS_EVERY", "1"))
    if every > 1:
        kept, left_out = [], []
        for item in items:
            out = hasattr(item, "callspec") and zlib.crc32(item.name.encode()) % every
            (left_out if out else kept).append(item)
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def no_handovers():
    """The count of calls handed to torch starts, and ends, at none."""
    fastconv.handovers(reset=True)
    yield
    fastconv.handovers(reset=True)


@pytest.fixture(params=["_torch", "_C"])
def host(request):
    """The library that answers for torch in plain eager calls."""
    if request.param not in eager.hosts:
        pytest.skip(f"fastconv.{request.param} has no host for this torch")
    eager.use(request.param)
    yield request.param
    eager.use(next(iter(eager.hosts)))


@pytest.fixture
def empty_filter_cache():
    """No transformed filters from other tests, nor left for them, within the default bound."""
    fastconv.clear_filter_cache()
    yield
    _C.filter_cache_set_bound(_C.FILTER_CACHE_BOUND)
    fastconv.clear_filter_cache()


@pytest.fixture
def fresh_compiler():
    """Without graphs that torch.compile has made for other tests."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
