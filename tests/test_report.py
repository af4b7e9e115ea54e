"""What a run shows: the table at its end and its pictures. Public names only."""

from pathlib import Path

import pytest
import torch

from fastconv import console, data, plots
from fastconv.config import Config
from fastconv.train import EpochResult, Trainer


@pytest.fixture(scope="module")
def noise() -> data.Dataset:
    """20 + 10 images of noise, enough to run through everything."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(30, 1, 32, 32, generator=generator)
    labels = torch.arange(30) % 10
    return data.Dataset(
        "digits", images[:20], labels[:20], images[20:], labels[20:], data.DIGIT_NAMES
    )


def config(**changes) -> Config:
    return Config.for_data("digits", model="lenet5", **{"epochs": 1, **changes})


def test_summary_compares_medians():
    seconds = {"fastconv": [1.0, 2.0, 9.0], "torch": [3.0, 4.0, 9.0]}
    history = [
        EpochResult(epoch, layers, 0.1, 0.9, 0.5 + epoch / 10, times[epoch - 1], 100.0)
        for epoch in (1, 2, 3)
        for layers, times in seconds.items()
    ]
    text = console.summary(history)
    fastconv_row, torch_row = text.splitlines()[2:4]
    assert fastconv_row.split() == ["fastconv", "80.00%", "2.000", "100"]
    assert torch_row.split() == ["torch.nn", "80.00%", "4.000", "100"]
    assert "torch.nn / fastconv: 2.00 " in text  # 4 / 2
    assert "1.50 to 2.50" in text  # quartiles of 3, 2, 1
    assert "fastconv:" not in console.summary([r for r in history if r.layers == "torch"])


def test_time_ratio_of_one_epoch():
    assert console.time_ratio([3.0], [2.0]) == (1.5, 1.5, 1.5)


def test_mosaic_places_tiles_row_by_row():
    grid = plots.mosaic(torch.arange(3.0).view(3, 1, 1).expand(3, 4, 4), columns=2)
    assert grid.shape == (9, 9)
    assert (grid[:4, :4] == 0).all() and (grid[:4, 5:] == 1).all() and (grid[5:, :4] == 2).all()
    assert grid[4].isnan().all() and grid[5:, 5:].isnan().all()


def test_pictures_are_png(noise: data.Dataset, tmp_path: Path):
    trainer = Trainer(config(epochs=1), noise, tmp_path)
    history = trainer.fit()
    model = trainer.learners["fastconv"].model
    before = model.training
    plots.curves(history, "curves", tmp_path / "a.png")
    plots.filters(model, "filters", tmp_path / "b.png")
    image = noise.test_images[0]
    plots.features(model, image, noise.classes, "features", tmp_path / "c.png")
    for name in "abc":
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert model.training == before
    assert not any(layer._forward_hooks for layer in model.modules())
