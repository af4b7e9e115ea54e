"""A CUDA device for tests without one: fastconv's CUDA operators, their binding and launchers, with
kernels that the SIMT shim executes on the CPU (docs/simt.md). Inside `kernels_of_cuda` tensors of
the CPU are computed so."""

import contextlib
import functools
import importlib.machinery
import importlib.util
from collections.abc import Iterator

import cuda_shim

from fastconv.core import cuda, eager, ops


@functools.cache
def library():
    """csrc/cuda/bindings/module.cpp and the kernels, compiled by g++ for the shim."""
    path = str(cuda_shim.build(cuda_shim.ROOT / "csrc", bindings=True))
    loader = importlib.machinery.ExtensionFileLoader("_C_cuda", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("_C_cuda", loader))
    loader.exec_module(module)
    return module


@functools.cache
def shim() -> cuda_shim.Shim:
    """The shim within `library`: its errors and counters."""
    return cuda_shim.Shim(library().__file__)


@contextlib.contextmanager
def kernels_of_cuda(tensor_cores: int = 80) -> Iterator[cuda_shim.Shim]:
    """Plain calls on CPU tensors run the CUDA operators; at the end the shim has found no error."""
    queue = library().Queue(0, tensor_cores, False)
    operators = cuda.Operators(library(), lambda t: queue, lambda t: contextlib.nullcontext())
    before = {name: operator.plains["cpu"] for name, operator in ops.operators.items()}
    shim().reset(counting=True)
    eager.use(None)
    for operator in ops.operators.values():
        operator.plains["cpu"] = getattr(operators, operator.kernel)
    try:
        yield shim()
    finally:
        eager.use(next(iter(eager.hosts), None))
        for name, plain in before.items():
            ops.operators[name].plains["cpu"] = plain
    assert shim().errors() == []
