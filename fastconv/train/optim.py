"""The optimiser, its learning rate step by step, and the loss: torch's own, chosen by a Config.

Layer: below the learner.
"""

from collections.abc import Callable, Iterable

import torch
from torch.nn import functional as F
from torch.optim import Optimizer, lr_scheduler

from fastconv.train.config import OPTIMIZERS, Config, TrainError

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
ONECYCLE_RISE = 0.3  # the part of the run in which the rate rises, unless a warm-up is given


def make_optimizer(config: Config, parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
    """torch's optimiser of that name; all that the config does not mention is torch's default."""
    numbers = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.optimizer in ("sgd", "rmsprop"):
        numbers["momentum"] = config.momentum
    if config.optimizer == "sgd":
        numbers["nesterov"] = config.nesterov
    return getattr(torch.optim, OPTIMIZERS[config.optimizer])(parameters, **numbers)


def make_schedule(
    config: Config, optimizer: Optimizer, steps_per_epoch: int, steps: int
) -> lr_scheduler.LRScheduler:
    """The rate of each of the ``steps`` steps of a run; to be stepped after every one.

    Raises:
        TrainError: the run is too short for its warm-up.
    """
    warmup = round(config.warmup * steps_per_epoch)
    if warmup >= steps:
        raise TrainError(
            f"warmup is {config.warmup} epochs, {warmup} steps, of a run of {steps} steps: "
            "it must be shorter"
        )
    if config.schedule == "onecycle":
        rise = warmup / steps or ONECYCLE_RISE
        return lr_scheduler.OneCycleLR(
            optimizer, config.lr, total_steps=steps, pct_start=rise, cycle_momentum=False
        )
    if config.schedule == "cosine":
        main = lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps - warmup)
    elif config.schedule == "step":
        epochs = config.step_size or max(1, config.epochs // 3)
        main = lr_scheduler.StepLR(optimizer, epochs * steps_per_epoch, gamma=config.gamma)
    else:
        main = lr_scheduler.ConstantLR(optimizer, factor=1.0)
    if not warmup:
        return main
    # lr / warmup, 2 lr / warmup, ... lr
    rise = lr_scheduler.LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1)
    return lr_scheduler.SequentialLR(optimizer, [rise, main], milestones=[warmup])


def make_loss(config: Config) -> Loss:
    """The mean loss of outputs (n, classes) and labels (n,) or probabilities (n, classes).

    cross-entropy: -sum over classes of target * log softmax(outputs), labels smoothed;
    mse: the mean of (outputs - target)**2 over images and classes.
    """
    if config.loss == "mse":

        def mse(outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            if target.dim() == 1:
                target = F.one_hot(target, outputs.shape[1]).to(outputs.dtype)
            return F.mse_loss(outputs, target)

        return mse
    return torch.nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
