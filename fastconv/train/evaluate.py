"""Evaluates a model: the confusion matrix, from which every accuracy follows.

Layer: below the learner.
"""

import torch
from torch import nn

from fastconv.data import Dataset, Split
from fastconv.train.processes import Place

# Values of a batch of images: large enough to be quick, small enough to stay in memory.
BATCH_VALUES = 1_500_000
BATCH_IMAGES = 500


@torch.no_grad()
def confusion_matrix(
    model: nn.Module, dataset: Dataset, split: Split, place: Place, *, amp: bool = False
) -> torch.Tensor:
    """How many images of class c the ``model`` takes for class d: (classes, classes), int64.

    The model is left in evaluation mode. Processes share the images among themselves, and all
    get the whole matrix.
    """
    model.eval()
    classes = len(dataset.classes)
    image_values = max(1, split.images.shape[1:].numel())
    batch = min(BATCH_IMAGES, max(1, BATCH_VALUES // image_values))
    counts = torch.zeros(classes * classes, dtype=torch.int64)
    for rows in torch.arange(place.rank, len(split.labels), place.size).split(batch):
        images = dataset.normalize(split.images[rows].to(place.device))
        with torch.autocast(place.device.type, torch.bfloat16, enabled=amp):
            answers = model(images).argmax(1).cpu()
        counts += torch.bincount(split.labels[rows] * classes + answers, minlength=len(counts))
    return place.sum(counts).view(classes, classes)


def accuracy(confusion: torch.Tensor) -> float:
    """The fraction of all images that are classified correctly."""
    return confusion.diagonal().sum().item() / confusion.sum().item()


def class_accuracies(confusion: torch.Tensor) -> list[float]:
    """The fraction of each class's images that are classified correctly; nan without images."""
    return (confusion.diagonal().double() / confusion.sum(1)).tolist()
