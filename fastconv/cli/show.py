"""``fastconv show``: draws what each layer of a trained model makes of an image, and the answer.

Layer: a command; what needs an optional package is imported only when it runs.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from fastconv.data import DataError, Split
from fastconv.data.fitting import fit
from fastconv.data.folder import cut_out
from fastconv.train import LAYER_NAMES, checkpoint, load_data
from fastconv.train.checkpoint import Trained
from fastconv.train.config import TrainError

ONE_PAGE = 4  # convolutions that are drawn together; of larger nets each has a page
ANSWERS = 5  # printed


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    show = commands.add_parser(
        "show",
        help="draw the filters and feature maps of a trained model, layer by layer",
        description="Run an image through a trained model and draw its filters, what each layer "
        "makes of the image, and the answer.",
    )
    show.set_defaults(run=run)
    show.add_argument("checkpoint", type=Path, metavar="CKPT", help="checkpoint, or its folder")
    show.add_argument(
        "image",
        metavar="IMAGE",
        help="picture file, or test:17 for the test image with the index 17 of the run's data set "
        "(train:17 likewise)",
    )
    show.add_argument("--layers", choices=LAYER_NAMES, help="which of its models")
    show.add_argument(
        "--channels",
        type=int,
        default=32,
        metavar="INT",
        help="channels of a layer to draw at most (default: %(default)s)",
    )
    show.add_argument(
        "--root", type=Path, help="folder of the data sets (default: $FASTCONV_DATA, else data)"
    )
    show.add_argument(
        "--out", type=Path, help="folder for the pictures (default: show beside the checkpoint)"
    )


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Print the answer and draw how it comes about."""
    import fastconv.plots  # noqa: F401  (a missing package shall end the command at once)

    if options.channels < 1:
        raise DataError(f"channels is {options.channels}: it must be at least 1")
    trained = checkpoint.load_model(options.checkpoint, options.layers)
    pixels, truth = _image(options.image, trained, options.root)
    mean, std = (t.view(-1, 1, 1) for t in (trained.mean, trained.std))
    image = (pixels.float() / 255 - mean) / std
    _print_answer(options.image, trained, image, truth)
    run_folder = options.checkpoint if options.checkpoint.is_dir() else options.checkpoint.parent
    folder = options.out or run_folder / "show"
    names = [path.name for path in _draw(trained, image, options, folder)]
    print(f"{folder} holds {', '.join(names if len(names) < 3 else [names[0], '..', names[-1]])}")
    return 0


def _image(text: str, trained: Trained, root: Path | None) -> tuple[torch.Tensor, int | None]:
    """The uint8 image (IC, IH, IW) that ``text`` names, and its label where that is known."""
    place = re.fullmatch(r"(train|test):(\d+)", text)
    if place is None:
        return _picture(text, trained), None
    dataset = load_data(trained.config, root)
    split, index = getattr(dataset, place[1]), int(place[2])
    if index >= len(split):
        raise DataError(f"{text} is not there: {dataset.name} has {place[1]}:0 .. {len(split) - 1}")
    return split.images[torch.tensor([index])][0], split.labels[index].item()


def _picture(path: str, trained: Trained) -> torch.Tensor:
    """The largest centred part of a picture that has the proportions of the model's images.

    It is brought to their size as the images of the run's data set were.
    """
    from fastconv.data import picture

    channels, height, width = trained.input_shape
    whole = picture.load(path, grey=channels == 1)
    if trained.config.data == "folder":
        return cut_out(whole.image, (height, width), channels)
    IH, IW = whole.shape[1:]
    OH, OW = min(IH, max(1, IW * height // width)), min(IW, max(1, IH * width // height))
    top, left = (IH - OH) // 2, (IW - OW) // 2
    pixels = whole.rows(top, top + OH)[:, :, left : left + OW].unsqueeze(0)
    fitted = fit(Split(pixels, torch.zeros(1)), (height, width), channels).images
    return fitted[torch.tensor([0])][0]


def _print_answer(name: str, trained: Trained, image: torch.Tensor, truth: int | None) -> None:
    """The most probable classes of ``image``, and what it is."""
    with torch.no_grad():
        probabilities = trained.model(image.unsqueeze(0))[0].softmax(0)
    if not probabilities.isfinite().all():
        raise TrainError(
            f"the model has no answer to {name}, its outputs are not finite: train it with a "
            "lower lr"
        )
    print(f"{name} through {_model(trained)}, {LAYER_NAMES[trained.layers]} layers")
    top = probabilities.topk(min(ANSWERS, len(trained.classes)))
    for place, (probability, label) in enumerate(zip(*map(torch.Tensor.tolist, top), strict=True)):
        print(f"{'' if place else 'answer':8}{trained.classes[label]:12} {probability:6.1%}")
    if trained.config.loss == "mse":
        print("(softmax of outputs that were trained with the loss mse: no probabilities)")
    if truth is not None:
        print(f"{'truth':8}{trained.classes[truth]}")


def _model(trained: Trained) -> str:
    return f"{trained.config.model} on {trained.config.data}"


def _draw(
    trained: Trained, image: torch.Tensor, options: argparse.Namespace, folder: Path
) -> list[Path]:
    """Small nets in two pictures, larger ones in one per convolution."""
    from fastconv import plots

    title, channels = f"{Path(options.image).name} through {_model(trained)}", options.channels
    convolutions = len(plots.convolutions(trained.model))
    if convolutions > ONE_PAGE:
        return plots.pages(trained.model, image, trained.classes, title, folder, channels)
    paths = [folder / "features.png"]
    plots.features(trained.model, image, trained.classes, title, paths[0], channels)
    if convolutions:
        paths.append(folder / "filters.png")
        plots.filters(trained.model, f"Filters of {_model(trained)}", paths[1], channels)
    return paths
