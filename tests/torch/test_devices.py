"""Tensors of a device without kernels are refused where they enter, and never reach CPU kernels."""

import subprocess
import sys

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import fastconv
from fastconv.core import ops

CONV = ((1, 1), (1, 1, 1, 1), (1, 1), 1)
POOL = ((2, 2), (2, 2), (0, 0))


def calls(make):
    """Every operator on tensors of make(*size)."""
    x, w, grad_y = make(2, 3, 6, 6), make(4, 3, 3, 3), make(2, 4, 6, 6)
    grad_p, codes = make(2, 3, 3, 3), make(2, 3, 3, 3).to(torch.uint8)
    size = (2, 3, 6, 6)
    return {
        "conv2d": lambda: ops.conv2d(x, w, None, *CONV),
        "conv2d_backward_input": lambda: ops.conv2d_backward_input(grad_y, w, size, *CONV, False),
        "conv2d_backward_weight": lambda: ops.conv2d_backward_weight(
            grad_y, x, (4, 3, 3, 3), *CONV, False, True
        ),
        "max_pool2d": lambda: ops.max_pool2d(x, *POOL, (1, 1), False, True),
        "max_pool2d_backward": lambda: ops.max_pool2d_backward(
            grad_p, codes, size, *POOL, (1, 1), False, False
        ),
        "avg_pool2d": lambda: ops.avg_pool2d(x, *POOL, False, True, None),
        "avg_pool2d_backward": lambda: ops.avg_pool2d_backward(
            grad_p, size, *POOL, False, True, None, False
        ),
        "adaptive_avg_pool2d": lambda: ops.adaptive_avg_pool2d(x, (3, 3)),
        "adaptive_avg_pool2d_backward": lambda: ops.adaptive_avg_pool2d_backward(
            grad_p, size, (3, 3), False
        ),
    }


def first(result):
    return result[0] if isinstance(result, tuple) else result


NAMES = list(calls(torch.zeros))


@pytest.mark.parametrize("name", NAMES)
def test_meta_tensors_take_the_operator_and_keep_their_device(name):
    on_cpu = first(calls(torch.zeros)[name]())
    on_meta = first(calls(lambda *size: torch.empty(size, device="meta"))[name]())
    assert on_meta.device.type == "meta" and on_meta.shape == on_cpu.shape


@pytest.mark.parametrize("name", NAMES)
def test_fake_tensors_take_the_operator(name):
    with FakeTensorMode():
        fake = first(calls(torch.empty)[name]())
    assert type(fake).__name__ == "FakeTensor"
    assert fake.shape == first(calls(torch.zeros)[name]()).shape


# A device that a backend outside torch has named; its tensors here have no memory of their own.
OTHER_DEVICE = """
import torch
torch.utils.rename_privateuse1_backend("other")
library = torch.library.Library("aten", "IMPL")


class Other(torch.Tensor):
    @staticmethod
    def __new__(cls, size):
        return torch.Tensor._make_wrapper_subclass(cls, size, device="other:0")

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise NotImplementedError(f"{function} has no kernel for the device 'other'")


from fastconv import functional
from fastconv.core import ops

x, w = Other((1, 3, 6, 6)), Other((4, 3, 3, 3))
for call in (
    lambda: ops.conv2d(x, w, None, (1, 1), (0, 0, 0, 0), (1, 1), 1),
    lambda: ops.max_pool2d(x, (2, 2), (2, 2), (0, 0), (1, 1), False, False),
    lambda: functional.conv2d(x, w),
    lambda: functional.avg_pool2d(x, 2),
):
    try:
        call()
    except NotImplementedError as error:
        print("other" in str(error))
    else:
        print("was computed")
"""


def test_a_device_without_kernels_is_refused():
    done = subprocess.run([sys.executable, "-c", OTHER_DEVICE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"] * 4


def test_functional_calls_of_other_devices_are_counted():
    fastconv.fallbacks(reset=True)
    fastconv.functional.conv2d(
        torch.empty(1, 3, 6, 6, device="meta"), torch.empty(4, 3, 3, 3, device="meta")
    )
    assert fastconv.fallbacks() == {("conv2d", "device"): 1}
