"""The curves of a run for TensorBoard.

Layer: beside the trainer. It is an Observer and needs the package tensorboard.
"""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from fastconv.train.results import EpochResult, Observer
from fastconv.train.trainer import Trainer


class TensorBoard(Observer):
    """Writes loss and learning rate per step, loss, accuracies and speed per epoch.

    Args:
        folder: of the log.
        trainer: the run; what an earlier log says beyond its finished epochs is struck out.
    """

    def __init__(self, folder: str | Path, trainer: Trainer) -> None:
        self.trainer = trainer
        self.writer = SummaryWriter(str(folder), purge_step=trainer.steps_done + 1)

    def epoch(self, result: EpochResult) -> None:
        learner = self.trainer.learners[result.layers]
        first = (result.epoch - 1) * self.trainer.steps_per_epoch
        for step, (loss, rate) in enumerate(learner.steps[first:].tolist(), start=first + 1):
            self.writer.add_scalar(f"loss per step/{result.layers}", loss, step)
            self.writer.add_scalar(f"learning rate/{result.layers}", rate, step)
        last = len(learner.steps)
        for name in ("train_loss", "train_accuracy", "test_accuracy", "images_per_second"):
            title = name.replace("_", " ")
            self.writer.add_scalar(f"{title}/{result.layers}", getattr(result, name), last)
        self.writer.flush()

    def close(self) -> None:
        """End the log."""
        self.writer.close()
