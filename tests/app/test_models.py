"""The registry of models: definitions, torchvision's models, and what a model costs."""

import copy
import pickle
import sys
import types

import pytest
import torch
from model_runs import hollow, seeded, settle
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fastconv import models
from fastconv.models.cost import Unwritten, cost

PARAMETERS = {
    "lenet": 81_194,
    "lenet5": 61_706,
    "mnist_cnn": 431_080,
    "tiny_cnn": 20_087,
    "tiny_cnn_pooled": 1_337,
    "deep_tiny_cnn": 49_519,
    "deep_tiny_dense": 4_236_769,
    "cifar_net": 18_354,
    "cifar_dense": 3_738_506,
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet18_cifar": 11_173_962,
    "resnet34_cifar": 21_282_122,
    "resnet50_cifar": 23_520_842,
}
SMALL = [name for name, count in PARAMETERS.items() if count < 12e6]
OF_TORCHVISION = [
    name
    for name in PARAMETERS
    if name.startswith(("alexnet", "vgg", "resnet")) and "_c" not in name
]


@pytest.fixture(scope="module")
def torchvision_models():
    """torchvision.models; a torchvision whose operators do not load beside this torch (CUDA and
    CPU builds mixed) has models all the same: they are Python over torch.nn.
    """
    try:
        import torchvision.models
    except ImportError:
        pytest.skip("torchvision is not installed")
    except RuntimeError:  # "operator torchvision::nms does not exist"
        name = "torchvision._meta_registrations"  # describes those operators to compilers
        sys.modules[name] = types.ModuleType(name)
        import torchvision.models
    return torchvision.models


# ---- definitions ------------------------------------------------------------------------------


def test_every_model_has_its_number_of_parameters():
    counts = {name: cost(hollow(name), models.input_shape(name)).parameters for name in PARAMETERS}
    assert counts == PARAMETERS
    assert list(models.MODELS) == list(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_options_and_shapes(name: str):
    spec = models.MODELS[name]
    channels, *extents = spec.input_shape
    assert spec.description and spec.num_classes == models.MODELS[name].num_classes
    for layers in models.LAYER_SETS:
        own = hollow(name, layers=layers)
        assert own(torch.empty(2, channels, *extents, device="meta")).shape == (2, spec.num_classes)
        other = hollow(name, layers=layers, num_classes=7, in_channels=2)
        assert other(torch.empty(1, 2, *extents, device="meta")).shape == (1, 7)
        for module in own.modules():
            for field, kind in models.layer_set(layers)._asdict().items():
                if isinstance(module, getattr(nn, field, ())):
                    assert type(module) is kind


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "resnet18", "resnet50_cifar"])
def test_convolutional_models_take_images_of_other_extents(name: str):
    model = hollow(name)
    assert model(torch.empty(1, 3, 96, 130, device="meta")).shape[0] == 1


def test_stems():
    cifar = hollow("resnet101", stem="cifar", num_classes=10)
    assert isinstance(cifar.maxpool, nn.Identity) and cifar.conv1.weight.shape == (64, 3, 3, 3)
    assert list(cifar.state_dict()) == list(hollow("resnet101").state_dict())
    assert cifar.layer4(
        cifar.layer3(cifar.layer2(torch.empty(1, 256, 32, 32, device="meta")))
    ).shape[2:] == (4, 4)


def test_wrong_names():
    with pytest.raises(ValueError, match="no model 'lenet6': choose from lenet, "):
        models.build("lenet6")
    for name in ("resnet18", "cifar_dense", "deep_tiny_dense"):
        with pytest.raises(ValueError, match="no layer set 'numpy': choose from fastconv, torch"):
            models.build(name, layers="numpy")


def test_wrong_options():
    with pytest.raises(ValueError, match="no ResNet of stem tall: choose from imagenet, cifar"):
        models.build("resnet18", stem="tall")
    with pytest.raises(ValueError, match="no ResNet of depth 20: choose from 18, 34"):
        models.ResNet(20)
    with pytest.raises(ValueError, match="no VGG of depth 12: choose from 11, 13"):
        models.VGG(12)
    with pytest.raises(ValueError, match="no model"):
        models.input_shape("lenet6")
    with pytest.raises(TypeError, match="dropout"):
        models.build("lenet", dropout=0.1)


@pytest.mark.parametrize("layers", models.LAYER_SETS)
def test_dropout_of_alexnet_and_vgg(layers: str):
    for name in ("alexnet", "vgg11"):
        found = [
            m.p for m in hollow(name, layers=layers, dropout=0.25).modules() if hasattr(m, "p")
        ]
        assert found == [0.25, 0.25]


def test_vgg_starts_as_he_proposed():
    model = seeded("vgg11")
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            std = (2 / (9 * module.out_channels)) ** 0.5
        elif isinstance(module, nn.Linear):
            std = 0.01
        else:
            continue
        # The standard deviation of n normal numbers varies by 1 / (2 n) ** 0.5 of itself.
        assert abs(module.weight.std() / std - 1) < 5 / (2 * module.weight.numel()) ** 0.5
        assert not module.bias.any()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_and_pickles(name: str, duplicate):
    model = seeded(name).eval()
    other = duplicate(model)
    assert [type(m) for m in other.modules()] == [type(m) for m in model.modules()]
    x = torch.randn(1, *models.input_shape(name))
    assert torch.equal(other(x), model(x))


def test_state_dict_from_a_file_of_the_other_layers(tmp_path):
    for name, ours, theirs in (
        ("resnet18", "fastconv", "torch"),
        ("cifar_net", "torch", "fastconv"),
    ):
        source = seeded(name, layers=theirs)
        torch.save(source.state_dict(), tmp_path / name)
        model = models.build(name, layers=ours)
        model.load_state_dict(torch.load(tmp_path / name, weights_only=True))
        for a, b in zip(model.parameters(), source.parameters(), strict=True):
            assert torch.equal(a, b)


# ---- torchvision ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_structure_is_torchvisions(name: str, torchvision_models):
    with torch.device("meta"):
        theirs = getattr(torchvision_models, name)()
    for layers in models.LAYER_SETS:
        ours = hollow(name, layers=layers)
        want = {key: value.shape for key, value in theirs.state_dict().items()}
        assert {key: value.shape for key, value in ours.state_dict().items()} == want
    leaves = [
        [(key, repr(m)) for key, m in model.named_modules() if not list(m.children())]
        for model in (ours, theirs)
    ]
    assert sorted(leaves[0]) == sorted(leaves[1])


@pytest.mark.parametrize("name", ["alexnet", "vgg11_bn", "resnet18", "resnet50"])
def test_function_and_first_weights_are_torchvisions(name: str, torchvision_models):
    torch.manual_seed(3)
    theirs = getattr(torchvision_models, name)()
    ours = seeded(name, layers="torch")
    for (key, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert torch.equal(a, b), key
    torch.manual_seed(4)
    x = torch.randn(2, 3, 96, 96)
    for p in theirs.parameters():
        p.data += 0.01 * torch.randn(p.shape)
    settle(theirs, x)
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        assert torch.equal(ours.eval()(x), theirs(x))


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_multiply_adds_are_those_torchvision_publishes(name: str, torchvision_models):
    published = torchvision_models.get_model_weights(name).DEFAULT.meta["_ops"]
    billions = cost(hollow(name), models.input_shape(name)).multiply_adds / 1e9
    assert abs(billions - published) <= 0.0005 + 1e-9  # given to three digits


# ---- costs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lenet", "deep_tiny_dense", "alexnet", "vgg11", "resnet50_cifar"])
def test_multiply_adds_are_half_of_torchs_flops(name: str):
    shape = models.input_shape(name)
    model = hollow(name, layers="torch").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, *shape, device="meta"))
    for layers in models.LAYER_SETS:
        found = cost(hollow(name, layers=layers), shape).multiply_adds
        assert found == counter.get_total_flops() // 2


def test_cost_leaves_the_model_as_it_was():
    model = seeded("resnet18_cifar")
    model.bn1.eval()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    model.conv1.weight.requires_grad_(False)
    found = cost(model, (3, 32, 32))
    assert found.parameters == PARAMETERS["resnet18_cifar"] - 3 * 3 * 3 * 64
    assert model.training and not model.bn1.training and model.layer1[0].bn1.training
    assert not any(m._forward_hooks for m in model.modules())
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["vgg11_bn", "resnet50_cifar", "cifar_dense"])
def test_unwritten_models_have_shapes_and_no_numbers(name: str):
    before = torch.get_rng_state()
    with Unwritten():
        model = models.build(name)
    assert torch.equal(torch.get_rng_state(), before)
    want = {key: value.shape for key, value in hollow(name).state_dict().items()}
    assert {key: value.shape for key, value in model.state_dict().items()} == want
    models.build("lenet")
    assert not torch.equal(torch.get_rng_state(), before)
