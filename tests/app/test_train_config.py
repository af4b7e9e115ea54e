"""What a run may be told, and what it does when told nothing. Public names only."""

import dataclasses

import pytest
from training import config

from fastconv import data, models
from fastconv.train.config import MODEL_RECIPES, RECIPES, Config, TrainError


def test_every_data_set_has_a_recipe():
    assert RECIPES.keys() == set(data.DATASETS)
    assert MODEL_RECIPES.keys() <= models.MODELS.keys()


@pytest.mark.parametrize(
    "field, value",
    [
        ("model", "lenet6"),
        ("layers", "numpy"),
        ("optimizer", "lbfgs"),
        ("schedule", "linear"),
        ("loss", "hinge"),
        ("augment", ("crop", "rotate")),
        ("epochs", 0),
        ("batch_size", 0),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("warmup", 3.0),  # of 3 epochs
        ("warmup", -1.0),
        ("step_size", 2),  # without that schedule
        ("gamma", 0.0),
        ("weight_decay", -1e-4),
        ("weight_decay", float("inf")),
        ("label_smoothing", 1.0),
        ("mixup", -0.1),
        ("mixup", float("nan")),
        ("crop_padding", 0),
        ("seed", -1),
        ("seed", 2**32),
        ("max_steps", 0),
    ],
)
def test_config_refuses(field: str, value):
    with pytest.raises(TrainError, match=f"{field} is"):
        dataclasses.replace(config(), **{field: value})


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"optimizer": "adam", "momentum": 0.9}, "momentum is 0.9: it must be 0 with adam"),
        ({"nesterov": True, "momentum": 0.0}, "nesterov"),
        ({"optimizer": "rmsprop", "momentum": 0.9, "nesterov": True}, "nesterov"),
        ({"loss": "mse", "label_smoothing": 0.1}, "label_smoothing is 0.1: it must be 0 with mse"),
        ({"schedule": "step", "step_size": 0}, "step_size is 0: it must be at least 1"),
    ],
)
def test_config_refuses_what_does_not_go_together(changes: dict, words: str):
    with pytest.raises(TrainError, match=words):
        dataclasses.replace(config(), **changes)


def test_published_exercise_is_plain_sgd():
    """`fastconv train --model cifar_net --data cifar10 --classes ... --epochs 100 --lr 0.01
    --batch-size 64`: no momentum, no schedule, no augmentation."""
    classes = ("airplane", "automobile", "ship")
    given = {"classes": classes, "epochs": 100, "lr": 0.01, "batch_size": 64}
    wanted = Config("cifar_net", "cifar10", "both", **given)
    assert Config.for_data("cifar10", model="cifar_net", **given) == wanted
    plain = (wanted.optimizer, wanted.momentum, wanted.schedule, wanted.weight_decay)
    assert plain == ("sgd", 0.0, "constant", 0.0)
    assert (wanted.augment, wanted.mixup, wanted.label_smoothing) == ((), 0.0, 0.0)


def test_recipe_of_digits():
    assert Config.for_data("digits", model="lenet5") == Config(
        "lenet5", "digits", "both", 20, 32, 0.02, momentum=0.9, schedule="cosine"
    )


def test_another_optimiser_brings_its_own_numbers():
    adamw = Config.for_data("cifar10", model="resnet18", optimizer="adamw")
    assert (adamw.lr, adamw.momentum, adamw.nesterov) == (0.001, 0.0, False)
    assert adamw.weight_decay == 0.01
    assert Config.for_data("cifar10", model="resnet18", optimizer="adam").weight_decay == 0
    given = Config.for_data("cifar10", model="resnet18", optimizer="adam", lr=0.5, augment=())
    assert given.lr == 0.5 and given.augment == ()
    plain = Config.for_data("cifar10", model="resnet18", momentum=0.0)
    assert not plain.nesterov


def test_description_names_what_is_not_plain():
    text = config(augment=("flip",), amp=True, mixup=0.2, optimizer="adam").describe()
    for words in ("Adam with lr 0.001", "cosine", "flip", "bfloat16", "mixup 0.2"):
        assert words in text
    assert "momentum" not in text and "crop" not in text
