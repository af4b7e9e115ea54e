"""Data sets: load(), what it returns, the digits and the real MNIST and CIFAR-10."""

import os
import time
from pathlib import Path

import pytest
import torch
from datafiles import SMALL_CIFAR, assert_sentence, write_cifar_python

from fastconv import data
from fastconv.data import dataset


def split_of(*images: list) -> data.Split:
    return data.Split(torch.tensor(images, dtype=torch.uint8), torch.zeros(len(images)).long())


def test_digits_shapes():
    digits = data.load("digits")
    assert digits.name == "digits"
    assert digits.train.images.shape == (1438, 1, 32, 32)
    assert digits.test.images.shape == (359, 1, 32, 32)
    assert digits.train.images.dtype == digits.test.images.dtype == torch.uint8
    assert (len(digits.train), len(digits.test)) == (1438, 359)
    assert digits.train.labels.dtype == digits.test.labels.dtype == torch.int64
    assert digits.classes == tuple("0123456789")
    assert digits.train.images.min() == 0 and digits.train.images.max() == 255


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    stored = load_digits().images.round().astype(int)  # 0 .. 16
    expected = sorted(tuple(((image * 255 + 8) // 16).flatten()) for image in stored)
    digits = data.load("digits", size=(8, 8))
    images = torch.cat([digits.train.images, digits.test.images]).flatten(1)
    assert sorted(tuple(image) for image in images.tolist()) == expected


def test_digits_split_is_stratified():
    digits = data.load("digits")
    train = digits.train.labels.bincount(minlength=10)
    test = digits.test.labels.bincount(minlength=10)
    assert torch.equal(test, ((train + test) / 5).round().long())


def test_digits_split_is_the_same_each_time_and_leaves_the_generator_alone():
    before = torch.get_rng_state()
    first, second = data.load("digits"), data.load("digits")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.train.images, second.train.images)
    assert torch.equal(first.test.labels, second.test.labels)
    assert len(torch.cat([first.train.images, first.test.images]).unique(dim=0)) == 1797


def test_statistics_are_those_of_the_training_images():
    digits = data.load("digits", channels=3)
    scaled = digits.train.images.double() / 255
    torch.testing.assert_close(digits.mean, scaled.mean((0, 2, 3)).float())
    torch.testing.assert_close(digits.std, scaled.std((0, 2, 3), correction=0).float())


def test_statistics_per_channel():
    mean, std = dataset.statistics(split_of([[[0, 255]], [[51, 51]]]).images)
    torch.testing.assert_close(mean, torch.tensor([0.5, 0.2]))
    assert std.tolist() == [0.5, 1.0]  # 1, where nothing differs


def test_statistics_from_a_sample_of_images_that_are_made_when_asked_for():
    asked = []

    class Made:
        shape = torch.Size((2001, 1, 1, 1))

        def __len__(self) -> int:
            return 2001

        def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
            asked.extend(rows.tolist())
            return (rows % 2 * 255).byte().view(-1, 1, 1, 1)

    mean, _ = dataset.statistics(Made())
    assert len(asked) == dataset.SAMPLE == len(set(asked))
    assert (asked[0], asked[-1]) == (0, 2000)
    steps = torch.tensor(asked).diff()
    assert steps.min() >= 4 and steps.max() <= 5
    assert mean == torch.tensor([sum(row % 2 for row in asked) / 500])


def test_normalize():
    digits = data.load("digits", channels=3)
    images = digits.train.images
    normal = digits.normalize(images)
    assert normal.dtype == torch.float32 and normal.shape == images.shape
    assert images.dtype == torch.uint8 and images.max() == 255  # untouched
    assert normal.double().mean((0, 2, 3)).abs().max() < 1e-5
    assert (normal.double().std((0, 2, 3), correction=0) - 1).abs().max() < 1e-5
    expected = (images.double() / 255 - digits.mean.view(-1, 1, 1)) / digits.std.view(-1, 1, 1)
    torch.testing.assert_close(normal.double(), expected, rtol=1e-5, atol=1e-6)


def test_unknown_data_set():
    with pytest.raises(data.ChoiceError) as error:
        data.load("cifar0")
    assert_sentence(error, "cifar0", ", ".join(data.DATASETS))
    assert isinstance(error.value, ValueError) and isinstance(error.value, data.DataError)


def test_root_from_argument_then_environment_then_default(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("FASTCONV_DATA", str(tmp_path))
    assert data.data_root("here") == Path("here")
    assert data.data_root() == tmp_path
    monkeypatch.delenv("FASTCONV_DATA")
    assert data.data_root() == Path("data")


def test_class_subset_is_relabelled_in_the_given_order():
    everything, some = data.load("digits"), data.load("digits", classes=("7", "0", "3"))
    assert some.classes == ("7", "0", "3")
    for whole, part in ((everything.train, some.train), (everything.test, some.test)):
        kept = [row for row, label in enumerate(whole.labels.tolist()) if label in (7, 0, 3)]
        assert torch.equal(part.images, whole.images[kept])
        assert [(7, 0, 3)[label] for label in part.labels] == whole.labels[kept].tolist()
    scaled = some.train.images.double() / 255
    torch.testing.assert_close(some.mean, scaled.mean((0, 2, 3)).float())


def test_class_subset_of_small_cifar(monkeypatch, tmp_path: Path):
    write_cifar_python(tmp_path, SMALL_CIFAR["cifar100"])
    everything = data.load("cifar100", tmp_path)
    some = data.load("cifar100", tmp_path, classes=["class_42"])
    assert len(some.train) == (everything.train.labels == 42).sum()


@pytest.mark.parametrize(
    "classes, parts",
    [
        (["3", "ship"], ("no class 'ship'", ", ".join("0123456789"))),
        (["3", "3"], ("['3', '3']", "each once")),
        ([], ("[]", "one or more")),
    ],
)
def test_wrong_classes(classes: list[str], parts: tuple[str, ...]):
    with pytest.raises(data.ChoiceError) as error:
        data.load("digits", classes=classes)
    assert_sentence(error, *parts)


def real(folder: str) -> None:
    if "FASTCONV_DATA" not in os.environ or not (data.data_root() / folder).is_dir():
        pytest.skip(f"FASTCONV_DATA does not name a folder that holds {folder}")


def seconds_to_load(name: str) -> float:
    """The faster of two times: the first read may come from a cold disk."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        data.load(name)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def test_real_mnist():
    real("MNIST/raw")
    mnist = data.load("mnist")
    assert mnist.train.images.shape == (60000, 1, 28, 28)
    assert mnist.test.images.shape == (10000, 1, 28, 28)
    assert mnist.train.labels.bincount().tolist()[:3] == [5923, 6742, 5958]
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    torch.testing.assert_close(mnist.mean, torch.tensor([0.1307]), rtol=0, atol=5e-5)
    torch.testing.assert_close(mnist.std, torch.tensor([0.3081]), rtol=0, atol=5e-5)
    assert seconds_to_load("mnist") < 1


def test_real_cifar10():
    real("cifar-10-batches-py")
    cifar10 = data.load("cifar10")
    assert cifar10.train.images.shape == (50000, 3, 32, 32)
    assert cifar10.test.images.shape == (10000, 3, 32, 32)
    assert cifar10.train.labels.bincount().tolist() == [5000] * 10
    assert cifar10.test.labels.bincount().tolist() == [1000] * 10
    # 0.003 covers copies whose images went through JPEG, which smooths them a little.
    expected = torch.tensor([0.491, 0.482, 0.447]), torch.tensor([0.247, 0.243, 0.262])
    torch.testing.assert_close(cifar10.mean, expected[0], rtol=0, atol=0.003)
    torch.testing.assert_close(cifar10.std, expected[1], rtol=0, atol=0.003)
    assert seconds_to_load("cifar10") < 3


def test_real_cifar3():
    real("cifar-10-batches-py")
    cifar3 = data.load("cifar10", classes=("airplane", "automobile", "ship"))
    assert cifar3.train.images.shape == (15000, 3, 32, 32)
    assert cifar3.test.images.shape == (3000, 3, 32, 32)
    assert cifar3.train.labels.bincount().tolist() == [5000] * 3
