"""Every option of training acts, and as torch defines it. Public names only."""

import math
import shutil

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from training import few_digits, learner, noise, trained

from fastconv import data
from fastconv.train import Learner, Observer, Place, load_data
from fastconv.train.batches import Batch, batches
from fastconv.train.config import OPTIMIZERS, Config, TrainError

LR = 0.02


def first_batch(one: Learner) -> Batch:
    return next(batches(one.config, one.dataset, 1, Place()))


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "sgd", "momentum": 0.0},
        {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.1},
        {"optimizer": "sgd", "momentum": 0.8, "nesterov": True},
        {"optimizer": "adam", "weight_decay": 0.1},
        {"optimizer": "adamw", "weight_decay": 0.1},
        {"optimizer": "rmsprop", "momentum": 0.5},
    ],
    ids=lambda options: " ".join(map(str, options.values())),
)
def test_optimizer_is_torchs(options: dict):
    """The same weights, to the bit, as a loop over the same batches written out."""
    options = {**options, "lr": LR, "schedule": "constant", "max_steps": 4}
    start = learner(**options)
    model = start.model
    kind = getattr(torch.optim, OPTIMIZERS[options["optimizer"]])
    names = ("momentum", "nesterov", "weight_decay")
    numbers = {name: options[name] for name in names if name in options}
    optimizer = kind(model.parameters(), lr=LR, **numbers)
    for batch, _ in zip(batches(start.config, start.dataset, 1, Place()), range(4), strict=False):
        optimizer.zero_grad()
        F.cross_entropy(model(batch.images), batch.labels).backward()
        optimizer.step()
    ours = trained(**options).model.state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in model.state_dict().items())


def rates(**options) -> list[float]:
    """Of 3 epochs of 7 steps."""
    return trained(lr=LR, **options).steps[:, 1].tolist()


def test_constant_rate():
    assert rates(schedule="constant") == [LR] * 21


def test_step_schedule():
    assert rates(schedule="step", step_size=2, gamma=0.5) == [LR] * 14 + [LR / 2] * 7
    assert rates(schedule="step") == pytest.approx([LR] * 7 + [LR / 10] * 7 + [LR / 100] * 7)


def test_cosine_schedule():
    wanted = [LR * 0.5 * (1 + math.cos(math.pi * step / 21)) for step in range(21)]
    assert rates(schedule="cosine") == pytest.approx(wanted, rel=1e-9)


def test_onecycle_schedule():
    found = rates(schedule="onecycle")
    assert found[0] == pytest.approx(LR / 25)
    assert max(found) == pytest.approx(LR, rel=0.01) and found.index(max(found)) in (5, 6)
    assert found[-1] == pytest.approx(LR / 25 / 1e4)
    late = rates(schedule="onecycle", warmup=2)
    assert late.index(max(late)) == 13 and max(late) == pytest.approx(LR)


def test_warmup_rises_linearly_to_the_rate():
    found = rates(schedule="cosine", warmup=1)
    assert found[:7] == pytest.approx([LR * step / 7 for step in range(1, 8)], rel=1e-9)
    wanted = [LR * 0.5 * (1 + math.cos(math.pi * step / 14)) for step in range(14)]
    assert found[7:] == pytest.approx(wanted, rel=1e-9)
    assert rates(schedule="constant", warmup=1 / 7) == [LR] * 21  # one step
    assert rates(schedule="constant", warmup=2 / 7)[:3] == pytest.approx([LR / 2, LR, LR])


def test_warmup_as_long_as_the_run():
    with pytest.raises(TrainError, match="7 steps, of a run of 5 steps"):
        learner(warmup=1, max_steps=5)


def test_label_smoothing_changes_the_loss():
    plain, smooth = (trained(label_smoothing=e, max_steps=1) for e in (0.0, 0.2))
    start = learner()
    batch = first_batch(start)
    logs = start.model(batch.images).detach().double().log_softmax(1)
    one_hot = F.one_hot(batch.labels, 10).double()
    for one, epsilon in ((plain, 0.0), (smooth, 0.2)):
        target = (1 - epsilon) * one_hot + epsilon / 10
        wanted = -(target * logs).sum(1).mean().item()
        # float32 logits and sums of 32 * 10 terms of about 2
        assert one.steps[0, 0].item() == pytest.approx(wanted, abs=320 * 2 * 2**-24)
    assert abs(plain.steps[0, 0] - smooth.steps[0, 0]) > 1e-4


def test_mse_is_between_outputs_and_one_hot():
    start = learner()
    batch = first_batch(start)
    outputs = start.model(batch.images).detach().double()
    wanted = (outputs - F.one_hot(batch.labels, 10)).square().mean().item()
    assert trained(loss="mse", max_steps=1).steps[0, 0].item() == pytest.approx(wanted, rel=1e-5)


def plain_images() -> data.Dataset:
    """100 images whose pixels are all 25 times their label."""
    labels = torch.arange(100) % 10
    images = (25 * labels).byte().view(100, 1, 1, 1).expand(100, 1, 32, 32)
    split = data.Split(images.contiguous(), labels)
    return data.Dataset.from_splits("digits", split, split, tuple("0123456789"))


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_mixes_images_and_labels_alike(alpha: float):
    one = learner(plain_images(), mixup=alpha, batch_size=50)
    first, second = batches(one.config, one.dataset, 1, Place())
    shares = set()
    for batch in (first, second):
        assert torch.allclose(batch.target.sum(1), torch.ones(50))
        assert ((batch.target > 0).sum(1) <= 2).all() and ((batch.target > 0).sum(1) == 2).any()
        pixels = (25 * torch.arange(10)).byte().view(10, 1, 1, 1)
        levels = one.dataset.normalize(pixels).flatten()
        # 3 roundings of numbers up to 2 on both sides
        assert torch.allclose(batch.images[:, 0, 0, 0], batch.target @ levels, atol=12 * 2**-23)
        assert (batch.target.argmax(1) == batch.labels).all()
        shares |= {round(share, 5) for share in batch.target.amax(1).tolist() if share < 1}
    assert len(shares) == 2  # one for each batch
    again = next(batches(one.config, one.dataset, 1, Place()))
    assert torch.equal(again.images, first.images) and torch.equal(again.target, first.target)
    later = next(batches(one.config, one.dataset, 2, Place()))
    assert not torch.equal(later.target, first.target)


def test_mixup_trains():
    assert not torch.equal(trained(mixup=0.5, max_steps=3).steps, trained(max_steps=3).steps)


def test_flip_mirrors_about_half_of_the_training_images():
    plain, flipped = (first_batch(learner(augment=a, batch_size=200)) for a in ((), ("flip",)))
    mirrored = (flipped.images == plain.images.flip(3)).flatten(1).all(1)
    same = (flipped.images == plain.images).flatten(1).all(1)
    assert (mirrored | same).all()
    assert 60 < mirrored.sum() < 140  # 100 +- 5.7 standard deviations


def test_crop_moves_within_the_padding():
    plain, cropped = (
        first_batch(learner(augment=a, crop_padding=2, batch_size=200)) for a in ((), ("crop",))
    )
    black = learner().dataset.normalize(torch.zeros(1, 1, 1, 1, dtype=torch.uint8)).item()
    bordered = F.pad(plain.images, (2, 2, 2, 2), value=black)
    places = torch.stack(
        [
            (bordered[:, :, dy : dy + 32, dx : dx + 32] == cropped.images).flatten(1).all(1)
            for dy in range(5)
            for dx in range(5)
        ]
    )
    assert places.any(0).all()
    assert places.any(1).all()  # 200 images over 25 places: 0.03 % to miss one, and no chance here


def test_augmentation_leaves_test_images_alone():
    """With a rate of next to nothing the test accuracy stays that of the first weights."""
    options = {"lr": 1e-30, "momentum": 0.0, "max_steps": 1}
    plain, augmented = (trained(augment=a, **options) for a in ((), ("crop", "flip")))
    assert torch.equal(plain.confusion, augmented.confusion)
    assert not torch.equal(plain.steps, augmented.steps)


def seen_by_convolutions(one: Learner) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Input, weight and output of every convolution in the training steps of an epoch."""
    seen = []

    def note(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        if layer.training:
            seen.append((inputs[0], layer.weight, output))

    for layer in one.model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(note)
    one.train_epoch(1, Observer())
    assert len(seen) == 2 * len(one.steps) > 0  # both nets have two
    return seen


@pytest.mark.parametrize("layers", ["fastconv", "torch"])
def test_amp_runs_bfloat16(layers: str):
    one = learner(layers=layers, amp=True, max_steps=2)
    for _, weight, output in seen_by_convolutions(one):
        assert (weight.dtype, output.dtype) == (torch.float32, torch.bfloat16)
    plain = trained(layers=layers, max_steps=2)
    assert one.steps[0, 0] != plain.steps[0, 0]
    assert one.steps[0, 0].item() == pytest.approx(plain.steps[0, 0].item(), rel=0.05)


@pytest.mark.parametrize("layers", ["fastconv", "torch"])
def test_channels_last_reaches_the_convolutions(layers: str):
    for channels_last in (True, False):
        one = learner(noise(3), model="cifar_net", layers=layers, channels_last=channels_last)
        for images, weight, output in seen_by_convolutions(one):
            for tensor in (images, weight, output):
                found = tensor.is_contiguous(memory_format=torch.channels_last)
                assert found == channels_last


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compile_runs_the_compiled_model():
    from torch._dynamo.utils import counters

    counters.clear()
    one = trained(layers="fastconv", compile=True, max_steps=2)
    assert counters["stats"]["unique_graphs"] >= 1
    assert not counters["graph_break"]
    plain = trained(layers="fastconv", max_steps=2)
    # The compiler may sum in another order: 400 terms, five layers.
    assert torch.allclose(one.steps, plain.steps, rtol=5 * 400 * 2**-24)
    assert one.model.state_dict().keys() == plain.model.state_dict().keys()


def test_compile_without_a_compiler(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TrainError, match=r"needs a C\+\+ compiler"):
        learner(compile=True)


def test_classes_and_the_models_own_images():
    config = Config.for_data("digits", model="mnist_cnn", classes=("7", "3"))
    dataset = load_data(config)
    assert dataset.classes == ("7", "3")
    assert dataset.train.images.shape[1:] == (1, 28, 28)
    assert Learner(config, "torch", dataset).model(torch.zeros(1, 1, 28, 28)).shape == (1, 2)


def test_batches_cover_an_epoch_in_another_order_each_time():
    one = learner()
    orders = []
    for epoch in (1, 2):
        parts = list(batches(one.config, one.dataset, epoch, Place()))
        assert [batch.size for batch in parts] == [32] * 6 + [8]
        orders.append(torch.cat([batch.images for batch in parts]))
    whole = few_digits().normalize(few_digits().train.images)
    for images in orders:
        assert torch.equal(images.flatten(1).sum(1).sort()[0], whole.flatten(1).sum(1).sort()[0])
    assert not torch.equal(*orders)
