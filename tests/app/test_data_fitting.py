"""Images made to fit a model, and augmentation: against slow references."""

from pathlib import Path

import numpy as np
import pytest
import torch
from datafiles import write_idx
from PIL import Image
from torch.nn import functional as F

from fastconv import data
from fastconv.data import fitting


def random_split(*shape: int) -> data.Split:
    return data.Split(torch.randint(0, 256, shape, dtype=torch.uint8), torch.zeros(shape[0]).long())


def within_one_of_exact(images: torch.Tensor, source: torch.Tensor, size: tuple[int, int]) -> None:
    """Rounding after each of the two directions adds up to 1 before the last one rounds."""
    exact = F.interpolate(source.double(), size, mode="bilinear", antialias=True)
    assert (images.double() - exact.round()).abs().max() <= 1


def test_mnist_as_32x32_has_a_black_border(tmp_path: Path):
    write_idx(tmp_path / "MNIST" / "raw")
    stored = data.load("mnist", tmp_path)
    padded = data.load("mnist", tmp_path, size=(32, 32))
    assert padded.train.images.shape == (30, 1, 32, 32)
    assert torch.equal(padded.test.images[:, :, 2:30, 2:30], stored.test.images)
    assert padded.test.images.sum() == stored.test.images.sum()
    torch.testing.assert_close(padded.mean, stored.mean * (28 / 32) ** 2)


def test_size_as_stored_changes_nothing():
    split = random_split(3, 2, 9, 7)
    assert fitting.fit(split, (9, 7), None).images is split.images
    assert fitting.fit(split, None, None).images is split.images


@pytest.mark.parametrize("size", [(1, 1), (7, 1), (1, 7), (5, 3), (9, 32), (64, 31)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resized(size: tuple[int, int], channels: int):
    split = random_split(4, channels, 16, 20)
    images = fitting.fit(split, size, None).images
    assert images.shape == (4, channels, *size) and images.dtype == torch.uint8
    within_one_of_exact(images, split.images, size)


def test_digits_upscaled():
    stored, default = data.load("digits", size=(8, 8)), data.load("digits")
    within_one_of_exact(default.train.images, stored.train.images, (32, 32))


def test_large_images_are_made_when_asked_for(monkeypatch):
    split = random_split(2005, 3, 4, 4)
    kept = fitting.fit(split, (6, 7), None).images
    assert isinstance(kept, torch.Tensor)
    monkeypatch.setattr(fitting, "EAGER_BYTES", kept.numel() - 1)
    made = fitting.fit(split, (6, 7), None).images
    assert not isinstance(made, torch.Tensor)
    assert made.shape == kept.shape == (2005, 3, 6, 7) and len(made) == 2005
    rows = torch.tensor([2004, 0, 7, 7])
    assert torch.equal(made[rows], kept[rows])


def test_grey_repeated():
    split = random_split(5, 1, 4, 6)
    images = fitting.fit(split, None, 3).images
    assert images.shape == (5, 3, 4, 6)
    for channel in images.unbind(1):
        assert torch.equal(channel, split.images[:, 0])
    assert images[torch.tensor([3, 1])].is_contiguous()


def test_luma_is_that_of_pillow():
    split = random_split(1001, 3, 8, 8)  # one more than is worked on at a time
    corners = torch.tensor([[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)])
    split.images[1000] = corners.T.view(3, 8, 1).byte()
    images = fitting.fit(split, None, 1).images
    assert images.shape == (1001, 1, 8, 8) and images.dtype == torch.uint8
    for row in range(1001):
        picture = Image.fromarray(split.images[row].permute(1, 2, 0).contiguous().numpy())
        assert np.array_equal(images[row, 0].numpy(), np.asarray(picture.convert("L")))


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"size": (0, 3)}, "0 x 3"),
        ({"size": (3, -1)}, "3 x -1"),
        ({"channels": 2}, "channels is 2"),
        ({"channels": 0}, "channels is 0"),
    ],
)
def test_wrong_size_or_channels(options: dict, reason: str):
    with pytest.raises(data.ChoiceError, match=reason):
        data.load("digits", **options)


def augmented_one_by_one(
    images: torch.Tensor, generator: torch.Generator, padding: int, flip: bool
) -> torch.Tensor:
    """``Augment`` image by image, from the same random numbers."""
    N, _, IH, IW = images.shape
    mirrored = torch.rand(N, 1, generator=generator) < 0.5 if flip else torch.zeros(N, 1)
    if padding:
        dy, dx = torch.randint(0, 2 * padding + 1, (2, N, 1), generator=generator)
    else:
        dy = dx = torch.zeros(N, 1, dtype=torch.int64)
    changed = []
    for n in range(N):
        image = F.pad(images[n], (padding,) * 4)
        image = image[:, dy[n] : dy[n] + IH, dx[n] : dx[n] + IW]
        changed.append(image.flip(2) if mirrored[n] else image)
    return torch.stack(changed)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (64, 3, 32, 32), (33, 1, 5, 8), (7, 2, 3, 1)])
@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("flip", [False, True])
def test_augment_equals_the_loop(shape: tuple[int, ...], padding: int, flip: bool):
    images = torch.randint(1, 256, shape, dtype=torch.uint8)
    before = images.clone()
    augment = data.Augment(crop_padding=padding, flip=flip)
    changed = augment(images, torch.Generator().manual_seed(5))
    expected = augmented_one_by_one(images, torch.Generator().manual_seed(5), padding, flip)
    assert changed.dtype == torch.uint8 and changed.is_contiguous()
    assert torch.equal(changed, expected)
    assert torch.equal(images, before)


def test_augment_takes_a_view_of_repeated_grey():
    images = torch.randint(0, 256, (9, 1, 6, 6), dtype=torch.uint8)
    augment = data.Augment(crop_padding=2, flip=True)
    grey = augment(images, torch.Generator().manual_seed(1))
    colour = augment(images.expand(-1, 3, -1, -1), torch.Generator().manual_seed(1))
    assert torch.equal(colour, grey.expand(-1, 3, -1, -1))


def test_augment_draws_evenly_and_from_its_generator_alone():
    """Shifts and mirrors of a batch of identical images, each counted."""
    N, padding = 18_000, 1
    image = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3)
    before = torch.get_rng_state()
    generator = torch.Generator().manual_seed(0)
    changed = data.Augment(padding, flip=True)(image.expand(N, -1, -1, -1), generator)
    assert torch.equal(torch.get_rng_state(), before)
    kinds, counts = changed.flatten(1).unique(dim=0, return_counts=True)
    assert len(kinds) == 9 * 2
    share = 1 / 18
    deviation = (N * share * (1 - share)) ** 0.5
    assert (counts - N * share).abs().max() < 5 * deviation


def test_augment_depends_on_the_seed_only():
    images = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8)
    augment = data.Augment(crop_padding=2, flip=True)
    runs = [augment(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
    generator = torch.Generator().manual_seed(1)
    assert not torch.equal(augment(images, generator), augment(images, generator))


def test_augment_nothing():
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(data.Augment()(images, torch.Generator()), images)


def test_augment_refuses_negative_padding():
    with pytest.raises(ValueError, match="crop_padding is -1"):
        data.Augment(crop_padding=-1)
