"""Folders of pictures: what is found, how it is decoded, and what is wrong with some."""

from pathlib import Path

import numpy as np
import pytest
import torch
from datafiles import assert_sentence, for_everybody, without_rights
from PIL import Image

from fastconv import data

RED, GREEN, BLUE = (250, 10, 20), (10, 250, 30), (20, 30, 250)
COLOURS = {"cat": RED, "dog": GREEN, "emu": BLUE}


def picture(path: Path, colour: object, size: tuple[int, int] = (12, 10), mode="RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two pictures of each colour to train, one to test, and files that are none."""
    for name, colour in COLOURS.items():
        picture(tmp_path / "train" / name / "b.png", colour)
        picture(tmp_path / "train" / name / "a.bmp", colour, (5, 30))
        picture(tmp_path / "val" / name / "more" / "c.PNG", colour)
        (tmp_path / "train" / name / "notes.txt").write_text("no picture")
        (tmp_path / "train" / name / ".hidden.png").write_text("no picture")
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "train" / "list.csv").write_text("no folder")
    return tmp_path


def test_what_is_found(root: Path):
    loaded = data.load("folder", root, size=(4, 6))
    assert loaded.classes == ("cat", "dog", "emu")
    assert loaded.train.images.shape == (6, 3, 4, 6) and len(loaded.train.images) == 6
    assert loaded.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert loaded.test.labels.tolist() == [0, 1, 2]
    assert loaded.train.labels.dtype == torch.int64
    assert [Path(p).name for p in loaded.train.images.paths[:2]] == ["a.bmp", "b.png"]


def test_rows_give_a_batch(root: Path):
    loaded = data.load("folder", root, size=(4, 6))
    images = loaded.train.images[torch.tensor([5, 0, 2, 0])]
    assert images.dtype == torch.uint8 and images.shape == (4, 3, 4, 6)
    for image, colour in zip(images, (BLUE, RED, GREEN, RED), strict=True):
        assert torch.equal(image, torch.tensor(colour).byte().view(3, 1, 1).expand(3, 4, 6))
    assert loaded.train.images[torch.tensor([], dtype=torch.int64)].shape == (0, 3, 4, 6)


def test_statistics(root: Path):
    loaded = data.load("folder", root)
    assert loaded.train.images.shape == (6, 3, 224, 224)
    colours = torch.tensor([RED, GREEN, BLUE]).double() / 255
    torch.testing.assert_close(loaded.mean, colours.mean(0).float())
    torch.testing.assert_close(loaded.std, colours.std(0, correction=0).float())


def test_test_folder_where_there_is_no_val(root: Path):
    (root / "val").rename(root / "test")
    assert len(data.load("folder", root).test) == 3
    picture(root / "val" / "dog" / "only.png", GREEN)
    loaded = data.load("folder", root)  # val comes first; it need not have every class
    assert loaded.test.labels.tolist() == [1]


def test_classes(root: Path):
    loaded = data.load("folder", root, classes=("emu", "cat"), size=(1, 1))
    assert loaded.train.labels.tolist() == [1, 1, 0, 0]
    images = loaded.train.images[torch.arange(4)].view(4, 3).tolist()
    assert images == [list(RED), list(RED), list(BLUE), list(BLUE)]
    with pytest.raises(data.ChoiceError, match="no class 'fish': choose from cat, dog, emu"):
        data.load("folder", root, classes=("fish",))


def test_grey(root: Path):
    loaded = data.load("folder", root, channels=1, size=(2, 2))
    luma = round(0.299 * RED[0] + 0.587 * RED[1] + 0.114 * RED[2])
    assert torch.equal(
        loaded.train.images[torch.tensor([0])], torch.full((1, 1, 2, 2), luma).byte()
    )


@pytest.mark.parametrize("upright", [False, True])
def test_the_centre_is_cut_out(root: Path, upright: bool):
    """Three squares in a row: the middle one is what a square image shows."""
    pixels = np.zeros((20, 60, 3), np.uint8)
    for index, colour in enumerate((RED, GREEN, BLUE)):
        pixels[:, 20 * index : 20 * (index + 1)] = colour
    if upright:
        pixels = pixels.transpose(1, 0, 2)
    Image.fromarray(np.ascontiguousarray(pixels)).save(root / "train" / "cat" / "a.bmp")
    (image,) = data.load("folder", root, size=(20, 20)).train.images[torch.tensor([0])]
    assert torch.equal(image, torch.tensor(GREEN).byte().view(3, 1, 1).expand(3, 20, 20))
    (image,) = data.load("folder", root, size=(10, 10)).train.images[torch.tensor([0])]
    assert torch.equal(image[:, 3:7, 3:7], image[:, 5:6, 5:6].expand(3, 4, 4))
    assert image[:, 5, 5].tolist() == list(GREEN)


def test_pixels_of_a_picture_of_the_right_size(root: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / "train" / "cat" / "b.png")
    (image,) = data.load("folder", root, size=(7, 9)).train.images[torch.tensor([1])]
    assert np.array_equal(image.permute(1, 2, 0).numpy(), pixels)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK"])
def test_modes(root: Path, mode: str):
    path = root / "train" / "cat" / ("c.tif" if mode == "CMYK" else "c.png")
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(path)
    (image,) = data.load("folder", root, size=(4, 4)).train.images[torch.tensor([2])]
    assert torch.equal(image, torch.full((3, 4, 4), 255).byte())


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def postscript(path: Path) -> None:
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")


def noise(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))


DAMAGES = {
    "empty": (lambda path: path.write_bytes(b""), "unknown format"),
    "text": (lambda path: path.write_text("no picture"), "unknown format"),
    "cut off": (truncated, "not an intact picture"),
    "noise": (noise, "not an intact picture"),
    "PostScript": (postscript, "unknown format"),
    "16 bits": (lambda path: picture(path, 40000, mode="I;16"), "more than 8 bits"),
    "gone": (lambda path: path.unlink(), "is missing"),
    "a folder now": (lambda path: (path.unlink(), path.mkdir()), "is a folder"),
}


@pytest.mark.parametrize("damage, reason", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_picture(root: Path, damage, reason: str):
    path = root / "train" / "dog" / "b.png"
    pixels = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    images = data.load("folder", root).train.images
    damage(path)
    images[torch.tensor([0, 5])]  # the others are as before
    with pytest.raises(data.DataError) as error:
        images[torch.tensor([0, 3])]
    assert_sentence(error, path, reason)


@pytest.mark.parametrize("pixels", [119, 50], ids=["a little", "more than twice"])
def test_too_many_pixels(monkeypatch, root: Path, pixels: int):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels)  # those of b.png are 120
    path = picture(root / "train" / "cat" / "b.png", RED)
    picture(root / "train" / "cat" / "a.bmp", RED, (2, 2))
    with pytest.raises(data.DataError) as error:
        data.load("folder", root)
    assert_sentence(error, path, f"more than {pixels} pixels")


def test_a_picture_that_only_claims_its_size_is_refused(root: Path):
    """The header of a BMP of 60,000 x 60,000 pixels and no more."""
    path = root / "train" / "cat" / "a.bmp"
    content = bytearray(path.read_bytes())
    content[18:26] = (60_000).to_bytes(4, "little") * 2
    path.write_bytes(content)
    with pytest.raises(data.DataError) as error:
        data.load("folder", root)
    assert_sentence(error, path, "pixels")


def empty_class(root: Path) -> Path:
    (root / "train" / "fox").mkdir()
    return root / "train" / "fox"


def no_classes(root: Path) -> Path:
    (root / "train").rename(root / "gone")
    (root / "train").mkdir()
    return root / "train"


def no_train(root: Path) -> Path:
    (root / "train").rename(root / "training")
    return root / "train"


def train_is_a_file(root: Path) -> Path:
    no_train(root).write_text("")
    return root / "train"


def no_test(root: Path) -> Path:
    (root / "val").rename(root / "validation")
    return root / "test"


def another_class(root: Path) -> Path:
    return picture(root / "val" / "fox" / "a.png", RED).parent


FOLDERS = {
    empty_class: "holds no pictures",
    no_classes: "holds no folders of pictures",
    no_train: "is missing",
    train_is_a_file: "is missing",
    no_test: "is missing",
    another_class: "has no counterpart",
}


@pytest.mark.parametrize("change", FOLDERS, ids=lambda change: change.__name__)
def test_wrong_folders(root: Path, change):
    path = change(root)
    with pytest.raises(data.DataError) as error:
        data.load("folder", root)
    assert_sentence(error, path, FOLDERS[change])


def test_names_that_would_command_the_terminal(root: Path):
    picture(root / "train" / "\x1b[2J" / "a.png", RED)
    with pytest.raises(data.DataError) as error:
        data.load("folder", root)
    assert_sentence(error, root / "train", r"'\x1b[2J'")
    assert "\x1b" not in str(error.value)


def test_a_loop_of_links_ends(root: Path):
    (root / "train" / "cat" / "loop").symlink_to(root / "train", target_is_directory=True)
    assert len(data.load("folder", root).train) == 6


def test_no_download(root: Path):
    with pytest.raises(data.DataError, match="cannot be downloaded"):
        data.load("folder", root, download=True)


@pytest.mark.parametrize("what", ["train", "train/cat", "train/cat/b.png"])
def test_unreadable(what: str):
    with for_everybody() as root:
        for part in ("train", "val"):
            picture(root / part / "cat" / "b.png", RED)
        with without_rights(root / what), pytest.raises(data.DataError) as error:
            data.load("folder", root)
    assert_sentence(error, root / what, "cannot be read", "Permission denied")
