"""The digits that come with scikit-learn: 1,797 images, 8 x 8 pixels, stored as 0 .. 16.

Layer: a data set; scikit-learn where it is asked for.
"""

import torch

from fastconv.data.dataset import Split

DIGIT_NAMES = tuple("0123456789")
SPLIT_SEED = 0


def load() -> tuple[Split, Split, tuple[str, ...]]:
    """Training and test images (N, 1, 8, 8), scaled to 0 .. 255, and the names of the classes."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (torch.from_numpy(digits.images) * (255 / 16)).round().byte().unsqueeze(1)
    labels = torch.from_numpy(digits.target).long()
    test = _stratified_fifth(labels)
    return Split(images[~test], labels[~test]), Split(images[test], labels[test]), DIGIT_NAMES


def _stratified_fifth(labels: torch.Tensor) -> torch.Tensor:
    """A mask (N,) that picks a fifth of every class at random, the same one each time."""
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        shuffled = members[torch.randperm(len(members), generator=generator)]
        mask[shuffled[: round(len(members) / 5)]] = True
    return mask
