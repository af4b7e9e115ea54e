"""Tests of CUDA kernels: executed on the CPU by the SIMT shim, and compiled by nvcc where it is."""

import cuda_shim
import pytest


def pytest_collection_modifyitems(items):
    if cuda_shim.compiler() is None:
        skip = pytest.mark.skip(reason="no C++ compiler: the SIMT shim cannot be built")
        for item in items:
            if "/cuda/" in str(item.path):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def shim():
    return cuda_shim.shim()
