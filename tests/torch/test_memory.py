"""fastconv.keep_memory: what glibc does with the memory of large tensors, in page faults."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch, fastconv
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.empty(64 << 20, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before = faults()
kept = fastconv.keep_memory()
faults(), faults()  # the heap grows, until an aligned tensor fits its gap
print(kept, before, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_large_tensors_keep_their_pages():
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    ).stdout.split()
    assert said[0] == "True"
    assert int(said[1]) > 1000 and int(said[2]) < int(said[1]) / 100


def test_a_library_without_mallopt_is_no_error(monkeypatch):
    import ctypes

    import fastconv

    class NoMallopt:
        def __init__(self, name):
            pass

    monkeypatch.setattr(ctypes, "CDLL", NoMallopt)
    assert fastconv.keep_memory() is False
