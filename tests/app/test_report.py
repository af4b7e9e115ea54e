"""What a run shows: the table at its end and its pictures. Public names only."""

import io
import re
import sys
from pathlib import Path

import pytest
import torch
from training import config, noise

from fastconv import data, plots
from fastconv.cli import console
from fastconv.train import EpochResult, Trainer

PNG = b"\x89PNG\r\n\x1a\n"


def test_summary_compares_medians():
    seconds = {"fastconv": [1.0, 2.0, 9.0], "torch": [3.0, 4.0, 9.0]}
    history = [
        EpochResult(epoch, layers, 0.1, 0.9, 0.5 + epoch / 10, times[epoch - 1], 100.0)
        for epoch in (1, 2, 3)
        for layers, times in seconds.items()
    ]
    text = console.summary(history)
    fastconv_row, torch_row = text.splitlines()[2:4]
    assert fastconv_row.split() == [
        "fastconv",
        "0.1000",
        "90.00%",
        "80.00%",
        "12.0",
        "2.000",
        "100",
    ]
    assert torch_row.split() == ["torch.nn", "0.1000", "90.00%", "80.00%", "16.0", "4.000", "100"]
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


def test_class_table_names_the_worst_confusion():
    matrix = torch.tensor([[8, 2, 0], [0, 10, 0], [1, 4, 5]])
    text = console.class_table({"fastconv": matrix, "torch": matrix.t()}, ("cat", "dog", "owl"))
    cat, dog, owl = (line.split() for line in text.splitlines()[2:])
    assert cat == ["cat", "9", "80.00%", "dog", "(2)", "88.89%", "owl", "(1)"]
    assert dog[:3] == ["dog", "13", "100.00%"] and dog[3] == "62.50%"
    assert owl[2:5] == ["50.00%", "dog", "(4)"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_bar_on_a_terminal(monkeypatch):
    """Loss, accuracy and speed while it runs, nothing left of it at the end."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    bar = console.Console(epochs=2, steps=12, steps_done=6)
    bar.bar.mininterval, bar.bar.miniters, bar.bar.dynamic_miniters = 0, 1, False
    bar.bar.ncols = 120  # whatever the terminal of the tests
    for batch in range(3):
        bar.batch(2, "torch", images=32, loss=0.5 + batch, accuracy=0.25)
    bar.close()
    text = screen.getvalue()
    assert re.search(r"epoch 2/2 torch.nn: +75%.*loss 2.5000, 25.0%, [\d,]+ images/s", text)
    assert text.rstrip(" ").endswith("\r")


def run(tmp_path: Path, dataset: data.Dataset | None = None, **changes) -> Trainer:
    trainer = Trainer(config(epochs=1, **changes), dataset or noise(), tmp_path)
    trainer.fit()
    return trainer


def test_pictures_of_a_run(tmp_path: Path):
    trainer = run(tmp_path)
    model = trainer.learners["fastconv"].model
    before = model.training
    plots.draw(trainer)
    for name in ("curves", "confusion", "filters", "features"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(PNG)
    assert model.training == before
    assert not any(layer._forward_hooks for layer in model.modules())


def test_a_net_without_convolutions_has_curves_only(tmp_path: Path):
    plots.draw(run(tmp_path, noise(3), model="cifar_dense", layers="fastconv"))
    assert {p.name for p in tmp_path.glob("*.png")} == {"curves.png", "confusion.png"}


def test_confusion_of_many_classes(tmp_path: Path):
    classes = [str(c) for c in range(100)]
    matrix = torch.eye(100, dtype=torch.int64)
    plots.confusion({"torch.nn": matrix}, classes, "100 classes", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)


def test_tensorboard_log_says_what_the_history_says(tmp_path: Path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from fastconv.train.tensorboard import TensorBoard

    trainer = Trainer(config(epochs=2, batch_size=8), noise(), tmp_path / "run")
    log = TensorBoard(tmp_path / "log", trainer)
    history = trainer.fit(log)
    log.close()
    found = EventAccumulator(str(tmp_path / "log"))
    found.Reload()
    for layers, learner in trainer.learners.items():
        losses = found.Scalars(f"loss per step/{layers}")
        assert [event.step for event in losses] == [1, 2, 3, 4, 5, 6]
        assert [e.value for e in losses] == pytest.approx(learner.steps[:, 0].tolist())
        accuracies = found.Scalars(f"test accuracy/{layers}")
        wanted = [result.test_accuracy for result in history if result.layers == layers]
        assert [event.value for event in accuracies] == pytest.approx(wanted)
        rates = [event.value for event in found.Scalars(f"learning rate/{layers}")]
        assert rates == pytest.approx(learner.steps[:, 1].tolist())
