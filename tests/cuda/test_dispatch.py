"""The Python side of the CUDA kernels: the operators, their binding and their launchers under the
autograd Functions, without a GPU (cuda_device.py); and which calls on CUDA tensors are ours."""

import pytest
import torch
from cuda_device import kernels_of_cuda
from reference import assert_close
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import fastconv
from fastconv.core import cuda, ops

F = fastconv.functional


def test_every_operator_has_a_cuda_kernel():
    assert all(callable(getattr(cuda.Operators, name)) for name in ops.operators)
    assert len(ops.operators) == 12
