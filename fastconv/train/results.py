"""What a run reports, and the Observers that it reports to.

Layer: the lowest of train; standard library only.
"""

from dataclasses import dataclass

LAYER_NAMES = {"fastconv": "fastconv", "torch": "torch.nn"}  # for people


@dataclass(frozen=True)
class EpochResult:
    """One epoch of one layer set: a row of metrics.csv.

    ``seconds`` counts batches, forward, backward and optimiser, not the evaluation; accuracies
    are fractions; the training figures are means over the epoch, taken before each step.
    """

    epoch: int
    layers: str
    train_loss: float
    train_accuracy: float
    test_accuracy: float
    seconds: float
    images_per_second: float


class Observer:
    """What a ``Trainer`` reports to; this one ignores it."""

    def batch(self, epoch: int, layers: str, images: int, loss: float, accuracy: float) -> None:
        """``images`` more images are done; loss and accuracy are means over the epoch so far.

        With several processes: those of this process's share.
        """

    def epoch(self, result: EpochResult) -> None:
        """One layer set has finished an epoch."""
