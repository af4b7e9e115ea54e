"""``fastconv show``: the answer it prints, and the pictures of small and of large nets."""

import pickle
import re
from pathlib import Path

import pytest
import torch
from commands import error_of
from PIL import Image

import fastconv
from fastconv import data, models, plots
from fastconv.cli import main
from fastconv.train import Trainer, checkpoint, train
from fastconv.train.config import Config

CLASSES = ("airplane", "automobile", "ship")


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """The folder of a LeNet-5 after a few steps on the digits."""
    out = tmp_path_factory.mktemp("digits")
    train("lenet5", "digits", layers="fastconv", epochs=1, max_steps=8, out=out)
    return out


@pytest.fixture(scope="module")
def coloured(tmp_path_factory) -> Path:
    """The folder of a cifar_net before its first step, its data set 6 images of noise."""
    out = tmp_path_factory.mktemp("coloured")
    _start("cifar_net", out)
    return out


def _start(model: str, out: Path) -> None:
    images = torch.randint(0, 256, (6, *models.input_shape(model)), dtype=torch.uint8)
    split = data.Split(images, torch.arange(6) % 3)
    dataset = data.Dataset.from_splits("cifar10", split, split, CLASSES)
    config = Config.for_data("cifar10", model=model, layers="fastconv", classes=CLASSES)
    Trainer(config, dataset, out)


def answers_of(text: str) -> dict[str, float]:
    """The classes and probabilities that were printed, in their order."""
    return {name: float(part) for name, part in re.findall(r"^.{8}(\w+) +([\d.]+)%$", text, re.M)}


@torch.no_grad()
def expected(folder: Path, pixels: torch.Tensor) -> dict[str, float]:
    """The five most probable classes of uint8 ``pixels`` (IC, IH, IW), in percent."""
    trained = checkpoint.load_model(folder)
    image = (pixels / 255 - trained.mean.view(-1, 1, 1)) / trained.std.view(-1, 1, 1)
    percents = 100 * trained.model(image.unsqueeze(0))[0].softmax(0)
    top = percents.argsort(descending=True)[:5].tolist()
    return {trained.classes[label]: percents[label].item() for label in top}


def assert_pictures(folder: Path, names: list[str]) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for name in names:
        with Image.open(folder / name) as image:
            image.load()
            assert image.format == "PNG" and min(image.size) > 300


def test_image_of_the_data_set(digits: Path, capsys):
    assert main(["show", str(digits), "test:17"]) == 0
    text = capsys.readouterr().out
    test = data.load("digits").test
    assert text.startswith("test:17 through lenet5 on digits, fastconv layers\nanswer  ")
    assert f"\ntruth   {test.labels[17]}\n" in text
    wanted = expected(digits, test.images[17])
    found = answers_of(text)
    assert list(found) == list(wanted)
    assert list(found.values()) == pytest.approx(list(wanted.values()), abs=0.0501)  # one decimal
    assert_pictures(digits / "show", ["filters.png", "features.png"])


def test_training_image_and_another_folder(digits: Path, tmp_path: Path, capsys):
    out = tmp_path / "new"
    arguments = ["show", str(digits / "checkpoint.pt"), "train:0", "--channels", "2"]
    assert main([*arguments, "--out", str(out)]) == 0
    assert f"\ntruth   {data.load('digits').train.labels[0]}\n" in capsys.readouterr().out
    assert_pictures(out, ["filters.png", "features.png"])


def test_picture_file_is_cut_from_the_middle(coloured: Path, tmp_path: Path, capsys):
    pixels = torch.randint(0, 256, (32, 32, 3), dtype=torch.uint8)
    wide = torch.full((32, 60, 3), 255, dtype=torch.uint8)
    wide[:, 14:46] = pixels
    high = torch.zeros((45, 32, 3), dtype=torch.uint8)
    high[6:38] = pixels
    wanted = expected(coloured, pixels.permute(2, 0, 1))
    for name, shown in {"same": pixels, "wide": wide, "high": high}.items():
        path = tmp_path / f"{name}.png"
        Image.fromarray(shown.numpy()).save(path)
        assert main(["show", str(coloured), str(path), "--out", str(tmp_path / "out")]) == 0
        text = capsys.readouterr().out
        found = answers_of(text)
        assert list(found) == list(wanted)
        assert list(found.values()) == pytest.approx(list(wanted.values()), abs=0.0501)
        assert "truth" not in text


@pytest.mark.parametrize("name", ["china.jpg", "grey.png"])
def test_picture_of_another_size_and_colour(name: str, coloured: Path, tmp_path: Path, capsys):
    if name == "grey.png":
        name = str(tmp_path / name)
        Image.new("L", (3, 100), 77).save(name)
    assert main(["show", str(coloured), name, "--out", str(tmp_path)]) == 0
    assert set(answers_of(capsys.readouterr().out)) == set(CLASSES)


def test_large_net_has_a_page_per_convolution(tmp_path: Path, capsys):
    _start("deep_tiny_cnn", tmp_path)
    assert main(["show", str(tmp_path), "flower.jpg"]) == 0
    convs = plots.convolutions(checkpoint.load_model(tmp_path).model)
    assert len(convs) == 5
    pages = [f"{number:02}-{name}.png" for number, name in enumerate(convs, 1)]
    assert f"answer.png, .., {pages[-1]}" in capsys.readouterr().out
    assert_pictures(tmp_path / "show", ["answer.png", *pages])


class Twice(torch.nn.Module):
    """Convolutions that are called in another order than they were made, one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.last = fastconv.Conv2d(2, 3, 3)
        self.first = fastconv.Conv2d(1, 1, 1)
        self.norm = torch.nn.BatchNorm2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(self.first(x))
        return self.last(self.norm(torch.cat([x, x], 1))).mean((2, 3))


def test_pages_follow_the_calls_and_leave_the_model_alone(tmp_path: Path):
    model = Twice().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    paths = plots.pages(model, torch.randn(1, 9, 9), CLASSES, "title", tmp_path, channels=2)
    names = ["answer.png", "01-first.png", "02-first.png", "03-last.png"]
    assert paths == [tmp_path / name for name in names]
    assert_pictures(tmp_path, names)
    assert model.training and not any(layer._forward_hooks for layer in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_net_without_convolutions(tmp_path: Path, capsys):
    _start("cifar_dense", tmp_path)
    assert main(["show", str(tmp_path), "flower.jpg"]) == 0
    assert capsys.readouterr().out.endswith("show holds features.png\n")
    assert_pictures(tmp_path / "show", ["features.png"])


def test_many_classes_with_long_names(tmp_path: Path):
    model = models.build("lenet5", num_classes=300)
    classes = [f"a class with quite a long name, number {label}" for label in range(300)]
    path = tmp_path / "many.png"
    plots.features(model, torch.randn(1, 32, 32), classes, "title", path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize(
    "image, options, words",
    [
        ("test:359", (), "test:359 is not there: digits has test:0 .. 358"),
        ("test:-1", (), "test:-1 is missing: give a picture file"),
        ("nowhere.png", (), "nowhere.png is missing"),
        ("test:0", ("--channels", "0"), "channels is 0"),
        ("test:0", ("--layers", "torch"), "no model with the layers torch, only fastconv"),
        ("test:0", ("--out", "/dev/null"), "cannot write /dev/null"),
    ],
)
def test_command_says_what_is_wrong(image, options, words, digits: Path, capsys):
    assert main(["show", str(digits), image, *options]) == 1
    assert words in error_of(capsys)


class Hostile:
    def __reduce__(self):
        return print, ("code from a checkpoint has run",)


def test_checkpoint_that_is_none(digits: Path, tmp_path: Path, capsys):
    whole = (digits / "checkpoint.pt").read_bytes()
    for name, content in {
        "half.pt": whole[: len(whole) // 2],
        "empty.pt": b"",
        "hostile.pt": pickle.dumps(Hostile(), protocol=2),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert main(["show", str(tmp_path / name), "test:0"]) == 1
        captured = capsys.readouterr()
        assert name in captured.err and captured.err.count("\n") == 1
        assert "has run" not in captured.out
    assert main(["show", str(tmp_path / "none.pt"), "test:0"]) == 1
    assert "none.pt is missing" in error_of(capsys)


def test_mosaic_of_single_numbers_has_no_gaps():
    grid = plots.mosaic(torch.arange(6.0).view(6, 1, 1), columns=3)
    assert grid.tolist() == [[0, 1, 2], [3, 4, 5]]
    spaced = plots.mosaic(torch.ones(2, 3, 3), columns=2, gap=2)
    assert spaced.shape == (3, 8) and spaced[:, 3:5].isnan().all() and spaced.nansum() == 18
