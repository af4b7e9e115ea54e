"""The Python side of the CUDA kernels: the operators, their binding and their launchers under the
autograd Functions, without a GPU (cuda_device.py); and which calls on CUDA tensors are ours."""

import copy

import pytest
import torch
from cuda_device import kernels_of_cuda, library
from reference import assert_rounded_once, check_conv2d, dot_bound
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import fastconv
from fastconv import models
from fastconv.core import cuda, ops, tensors
from fastconv.core.arguments import refusal

F = fastconv.functional
LAST = torch.channels_last


def numbers(*size, dtype=torch.float32):
    generator = torch.Generator().manual_seed(sum(size))
    return torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)


CONVOLUTIONS = {
    "dense": ((2, 5, 7, 6), (4, 5, 3, 3), dict(padding=1)),
    "dense, strided, uneven": ((1, 6, 9, 8), (4, 3, 3, 2), dict(stride=(2, 1), groups=2)),
    "depthwise": ((2, 8, 6, 7), (8, 1, 3, 3), dict(padding="same", groups=8)),
    "empty batch": ((0, 3, 5, 5), (2, 3, 3, 3), {}),
}


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_conv2d_and_its_gradients(name, last):
    x_size, w_size, arguments = CONVOLUTIONS[name]
    x, w = numbers(*x_size), numbers(*w_size)
    if last:
        x, w = x.to(memory_format=LAST), w.to(memory_format=LAST)
    with kernels_of_cuda() as shim:
        y, *_ = check_conv2d(F.conv2d, x, w, numbers(w_size[0]), **arguments)
    assert shim.counters()["launches"] >= (3 if x.numel() else 1)
    assert y.is_contiguous(memory_format=LAST if last else torch.contiguous_format)


@pytest.mark.parametrize(
    "pool",
    [
        lambda f, x: f.max_pool2d(x, 3, 2, 1, return_indices=True),
        lambda f, x: f.max_pool2d(x, 17, 1),  # int32 codes
        lambda f, x: f.avg_pool2d(x, 2, 2, ceil_mode=True),
        lambda f, x: f.adaptive_avg_pool2d(x, (3, 1)),
        lambda f, x: f.adaptive_max_pool2d(x, (2, 5), return_indices=True),
        lambda f, x: f.max_pool1d(x[0], 2),
    ],
    ids=["max", "max 17x17", "average", "adaptive average", "adaptive max", "max 1-D"],
)
def test_pools_and_their_gradients(pool):
    x = numbers(2, 3, 19, 18).to(memory_format=LAST).requires_grad_()
    exact = x.detach().double().requires_grad_()
    want = pool(nn.functional, exact)
    with kernels_of_cuda() as shim:
        got = pool(F, x)
        if isinstance(got, tuple):
            assert torch.equal(got[1], want[1])
            got, want = got[0], want[0]
        got.sum().backward()
    want.sum().backward()
    assert_rounded_once(got.detach(), want.detach(), dot_bound(6 * 18, 4.0, torch.float32))
    assert_rounded_once(x.grad, exact.grad, dot_bound(19 * 18, 9.0, torch.float32))
    assert shim.counters()["launches"] >= 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
def test_autocast_runs_the_kernels_of_the_low_precision(dtype):
    x, w = numbers(1, 8, 6, 6).to(memory_format=LAST), numbers(8, 8, 3, 3)
    w = w.to(memory_format=LAST).requires_grad_()
    with kernels_of_cuda(), torch.autocast("cpu", dtype):
        y = F.conv2d(x, w)
        y.sum().backward()
    assert y.dtype is dtype and w.grad.dtype is torch.float32
    low_x, low_w = x.to(dtype).double(), w.detach().to(dtype).double()
    bound = dot_bound(72, nn.functional.conv2d(low_x.abs(), low_w.abs()), torch.float32)
    assert_rounded_once(y.detach(), nn.functional.conv2d(low_x, low_w), bound)


def test_the_end_of_a_fused_convolution_is_torchs_and_counted(no_handovers):
    x, w = numbers(2, 3, 5, 6), numbers(4, 3, 3, 3)
    args = ((1, 1), (1, 1, 1, 1), (1, 1), 1)
    addend = numbers(2, 4, 5, 6)
    with kernels_of_cuda():
        y = ops.conv2d(x, w, None, *args)
        fused = ops.conv2d_fused(x, w, None, addend, 0.0, 1.0, *args)
        with pytest.raises(ValueError, match="addend has the size"):
            ops.conv2d_fused(x, w, None, addend[:1], 0.0, 1.0, *args)
    assert torch.equal(fused, (y + addend).clamp(0, 1))
    assert fastconv.fallbacks() == {("end_of_fused", "device"): 1}


def test_unpooling_is_torchs_and_counted(no_handovers):
    y, indices = nn.functional.max_pool2d(numbers(2, 3, 6, 6), 2, return_indices=True)
    volume, places = nn.functional.max_pool3d(numbers(1, 2, 4, 4, 4), 2, return_indices=True)
    with kernels_of_cuda() as shim:
        images = ops.max_unpool(y, indices, (6, 6))
        volumes = ops.max_unpool(volume, places, (4, 4, 4))
        assert torch.equal(ops.max_unpool_backward(images, indices, False), y)
        assert torch.equal(ops.max_unpool_backward(volumes, places, False), volume)
    assert shim.counters()["launches"] == 0
    assert torch.equal(images, nn.functional.max_unpool2d(y, indices, 2))
    assert torch.equal(volumes, nn.functional.max_unpool3d(volume, places, 2))
    assert fastconv.fallbacks() == {
        ("max_unpool2d", "device"): 1, ("max_unpool3d", "device"): 1, ("gather", "device"): 2
    }  # fmt: skip


def test_tensors_that_are_not_dense():
    """Sliced, transposed and expanded ones, and one image without its batch."""
    x = numbers(2, 6, 9, 8)[:, ::2, 1:, ::2].requires_grad_()
    w = numbers(3, 3, 4, 5).permute(2, 1, 3, 0)  # (4, 3, 5, 3)
    with kernels_of_cuda():
        check_conv2d(F.conv2d, x, w, None, padding=2)
        check_conv2d(F.conv2d, numbers(1, 3, 6, 6).expand(3, 3, 6, 6), w, None, padding=2)
        one = F.conv2d(x[0], w, padding=2)
        assert torch.equal(one, F.conv2d(x[:1], w, padding=2)[0])
        pooled = F.max_pool2d(x.transpose(2, 3), 2)
    assert torch.equal(pooled, nn.functional.max_pool2d(x.transpose(2, 3), 2))


def test_gradients_of_gradients():
    def function(x, w):
        return F.avg_pool2d(F.max_pool2d(F.conv2d(x, w, padding=1, groups=2), 2), 2)

    x = numbers(1, 2, 8, 4, dtype=torch.float64).requires_grad_()
    w = numbers(4, 1, 3, 2, dtype=torch.float64).requires_grad_()
    with kernels_of_cuda():
        assert torch.autograd.gradgradcheck(function, (x, w), fast_mode=True)


def losses(net, images, labels, steps):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.2, momentum=0.9)
    curve = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    return curve


def test_lenet5_learns_as_on_the_cpu():
    """The loss of each step beside that of torch's layers on the CPU, in float64: rounding apart,
    the same curve."""
    images, labels = numbers(2, 1, 32, 32, dtype=torch.float64), torch.tensor([3, 8])
    torch.manual_seed(1)
    theirs = models.build("lenet5", layers="torch").double()
    ours = models.build("lenet5").double()
    ours.load_state_dict(theirs.state_dict())
    with kernels_of_cuda() as shim:
        got = losses(ours, images, labels, 3)
    want = losses(theirs, images, labels, 3)
    assert want[-1] < want[0] / 2
    assert got == pytest.approx(want, rel=1e-9)
    assert shim.counters()["launches"] >= 3 * 12


def test_a_converted_net_learns_as_torchs():
    """Each kind of kernel once: first layer, dense, depthwise, both pools; in channels_last."""
    torch.manual_seed(2)
    theirs = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, 1, 1, groups=4),
        nn.Conv2d(4, 6, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    ).double().to(memory_format=LAST)  # fmt: skip
    ours = fastconv.convert(copy.deepcopy(theirs))
    images, labels = numbers(2, 3, 12, 12, dtype=torch.float64).to(memory_format=LAST), [0, 2]
    with kernels_of_cuda() as shim:
        got = losses(ours, images, torch.tensor(labels), 3)
    want = losses(theirs, images, torch.tensor(labels), 3)
    assert want[-1] < want[0] and got == pytest.approx(want, rel=1e-9)
    # forward, and backward without the gradient of the images, of five layers
    assert shim.counters()["launches"] >= 3 * (5 + 9)


def test_the_binding_refuses_buffers_of_another_size():
    kernels, queue = library(), library().Queue(0)
    shape = kernels.Conv2dShape((1, 3, 8, 8), (4, 3, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1)
    with pytest.raises(ValueError, match="y holds 5 elements, but the shape has 144"):
        kernels.conv2d_forward(0, shape, (4096, 192), (4096, 108), None, (4096, 5), queue)
    with pytest.raises(ValueError, match="workspace holds 0 elements"):
        kernels.conv2d_backward_weight(
            0, shape, (4096, 144), (4096, 192), (4096, 108), None, None, queue
        )


def test_tensors_that_do_not_mix_are_refused():
    x, w = numbers(1, 2, 4, 4), numbers(1, 2, 3, 3, dtype=torch.float64)
    with kernels_of_cuda(), pytest.raises(RuntimeError, match="do not mix"):
        ops.conv2d(x, w, None, (1, 1), (0, 0, 0, 0), (1, 1), 1)
    with kernels_of_cuda(), pytest.raises(NotImplementedError, match="no CUDA kernel for"):
        ops.avg_pool2d(x.int(), (2, 2), (2, 2), (0, 0), False, True, None)


# ---- which calls are ours: asked of tensors that are on a CUDA device and have no memory ---------


@pytest.fixture
def fakes(monkeypatch):
    """Tensors of a CUDA device that has kernels, whether one is here or not."""
    monkeypatch.setitem(tensors.DEVICE_REFUSALS, "cuda", cuda.refusal)
    with FakeTensorMode():
        yield lambda *size, **how: torch.empty(size, device="cuda", **how)


def taken(call) -> bool:
    """Whether fastconv takes the call; torch's calls are counted as cuDNN's."""
    fastconv.fallbacks(reset=True)
    assert call().device.type == "cuda"
    counted = fastconv.fallbacks(reset=True)
    assert not counted or set(counted) == {("conv2d", "cuDNN")} or "max" in str(counted)
    return not counted


SHAPES = {
    "dense": ((32, 64, 56, 56), (64, 64, 3, 3), 1, False),
    "dense, one small image": ((1, 64, 28, 28), (64, 64, 3, 3), 1, True),
    "depthwise": ((32, 64, 56, 56), (64, 1, 3, 3), 64, True),
    "grouped": ((32, 64, 56, 56), (64, 2, 3, 3), 32, False),
    "first layer": ((32, 3, 224, 224), (64, 3, 7, 7), 1, True),
    "2^31 elements": ((64, 64, 1024, 512), (64, 64, 3, 3), 1, True),
}


@pytest.mark.parametrize("name", SHAPES)
def test_convolutions_that_are_ours(fakes, name):
    x_size, w_size, groups, ours = SHAPES[name]
    x, w = fakes(*x_size), fakes(*w_size)
    assert taken(lambda: F.conv2d(x, w, groups=groups)) == ours
    with fastconv.flags(cuda="fastconv"):
        assert taken(lambda: F.conv2d(x, w, groups=groups))
        with fastconv.flags(cuda="torch"):
            assert not taken(lambda: F.conv2d(x, w, groups=groups))


def test_deterministic_training_is_ours(fakes):
    x, w = fakes(32, 64, 56, 56), fakes(64, 64, 3, 3, requires_grad=True)
    # As a block: torch.testing forbids to set the flag itself once another test has imported it.
    with torch.backends.cudnn.flags(enabled=True, deterministic=True):
        assert cuda.refusal(x, w) is None and cuda.refusal(x, w.detach()) == "cuDNN"
    with torch.backends.cudnn.flags(enabled=True, deterministic=False):
        assert cuda.refusal(x, w) == "cuDNN"


def test_pools_are_ours_unless_torch_is_asked_for(fakes):
    x = fakes(32, 64, 112, 112)
    assert taken(lambda: F.max_pool2d(x, 3, 2, 1)) and taken(lambda: F.adaptive_avg_pool2d(x, 1))
    with fastconv.flags(cuda="torch"):
        assert not taken(lambda: F.max_pool2d(x, 3, 2, 1))


def test_flags_know_three_answers():
    with pytest.raises(ValueError, match="cuda must be one of auto, fastconv, torch, not 'cudnn'"):
        fastconv.flags(cuda="cudnn")
    with fastconv.flags(cuda="torch"):
        assert cuda.mode == "torch"
        with fastconv.flags(winograd=False):
            assert cuda.mode == "torch"
    assert cuda.mode == "auto"


def test_devices_that_differ_are_torchs_affair(fakes):
    assert refusal(fakes(1, 3, 8, 8), torch.empty(2, 3, 3, 3)) == "device"


@pytest.mark.parametrize(
    ("conv", "older", "allowed"),
    [("tf32", False, True), ("ieee", True, False), (None, True, True), (None, False, False)],
)
def test_tf32_is_torchs_setting(monkeypatch, conv, older, allowed):
    class Backend:
        allow_tf32 = older

    if conv:
        Backend.conv = type("Conv", (), {"fp32_precision": conv})
    monkeypatch.setattr(torch.backends, "cudnn", Backend)
    assert cuda.may_use_tf32() == allowed
