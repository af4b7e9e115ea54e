"""Every model with both layer sets: same weights from a seed; results against float64."""

import copy
import os

import pytest
import torch
from model_runs import assert_no_further_than_torch, hollow, run, seeded, settle
from reference import assert_within, check_conv2d, dot_bound, magnitude
from torch import nn

import fastconv
from fastconv import functional, models

F = nn.functional

# These run on smaller images than their own, for time's sake, unless FASTCONV_FULL_SIZE is set;
# their layers at full size are among those of test_every_layer_within_its_bounds.
LARGE = ("vgg13", "vgg13_bn", "vgg16_bn", "vgg19", "vgg19_bn", "resnet101", "resnet152")
FULL = bool(os.environ.get("FASTCONV_FULL_SIZE"))
SMALLER = {} if FULL else dict.fromkeys(LARGE, 96)
# A VGG takes 12 seconds, most of them for 100 million weights of its linear layers. Of each pair
# with and without batch norm one is enough.
TWINS = () if FULL else ("vgg11_bn", "vgg13", "vgg16_bn", "vgg19")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Other tests run at the same time; threads that wait for each other are slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check_beside_torch(name: str, training: bool) -> None:
    """Same seed, same weights; then output and gradients of both layer sets against float64."""
    channels, *extents = models.input_shape(name)
    extents = [SMALLER.get(name, extent) for extent in extents]
    x = torch.randn(2 if extents[0] < 200 else 1, channels, *extents)
    ours, twin = seeded(name), seeded(name, layers="torch")
    assert list(ours.state_dict()) == list(twin.state_dict())
    for a, b in zip(ours.state_dict().values(), twin.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    if training:
        ours.train(), twin.train()
    else:
        ours.load_state_dict(settle(twin, x).state_dict())
        ours.eval()
    sums = [x[:, 0].numel(), *(p[0].numel() for p in ours.parameters() if p.dim() == 4)]
    grad_y = torch.randn(len(x), models.MODELS[name].num_classes)
    got, decisions = run(ours, x, grad_y)
    del ours
    exact_twin = copy.deepcopy(twin).double()
    like, _ = run(twin, x, grad_y, decisions)
    exact, _ = run(exact_twin, x.double(), grad_y.double(), decisions)
    assert_no_further_than_torch(got, like, exact, max(sums))


@pytest.mark.parametrize("name", [name for name in models.MODELS if name not in TWINS])
def test_forward_and_backward_beside_torch(name: str):
    check_beside_torch(name, training=False)


@pytest.mark.parametrize("name", ["resnet18_cifar", "resnet50_cifar"])
def test_training_mode_beside_torch(name: str):
    check_beside_torch(name, training=True)


def layer_calls() -> dict[type, list[tuple[nn.Module, torch.Size]]]:
    """{class: its different (layer, input size)} in all models at their own input, batch 1."""
    calls = {nn.Conv2d: {}, nn.MaxPool2d: {}, nn.AdaptiveAvgPool2d: {}}

    def note(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        calls[type(module)].setdefault((repr(module), inputs[0].shape), (module, inputs[0].shape))

    for name, spec in models.MODELS.items():
        model = hollow(name, layers="torch").eval()
        for module in model.modules():
            if type(module) in calls:
                module.register_forward_pre_hook(note)
        model(torch.empty(1, *spec.input_shape, device="meta"))
    return {kind: list(found.values()) for kind, found in calls.items()}


def test_every_layer_within_its_bounds():
    """Forward and gradients of every different convolution and pooling of all models at full size:
    convolutions and averages within the bounds of their arithmetic, max pools exactly.
    """
    calls = layer_calls()
    assert len(calls[nn.Conv2d]) > 80 and len(calls[nn.MaxPool2d]) > 15
    for conv, size in calls[nn.Conv2d]:
        x, w = torch.randn(size), torch.randn(conv.weight.shape)
        bias = None if conv.bias is None else torch.randn(len(w))
        geometry = {"stride": conv.stride, "padding": conv.padding}
        check_conv2d(functional.conv2d, x, w, bias, what=f"{conv} of {size}", **geometry)
    for pool, size in calls[nn.MaxPool2d]:
        x = torch.randn(size)
        given = (pool.kernel_size, pool.stride, pool.padding)
        y, at = F.max_pool2d(x, *given, return_indices=True)
        found = functional.max_pool2d(x, *given, return_indices=True)
        assert torch.equal(found[0], y) and torch.equal(found[1], at), (pool, size)
    for pool, size in calls[nn.AdaptiveAvgPool2d]:
        x = torch.randn(size)
        want = F.adaptive_avg_pool2d(x.double(), pool.output_size)
        limit = dot_bound(size[2] * size[3], magnitude(x), x.dtype)
        assert_within(functional.adaptive_avg_pool2d(x, pool.output_size), want, limit, str(pool))


def test_models_run_fastconvs_kernels():
    fastconv.handovers(reset=True)
    for name in ("lenet5", "resnet18_cifar"):
        model = seeded(name)
        model(torch.randn(2, *models.input_shape(name))).sum().backward()
    assert fastconv.handovers() == {}
