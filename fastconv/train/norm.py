"""Batch normalisation over the batch of all processes: y = (x - mean) / sqrt(var + eps) * w + b.

Layer: below the learner. torch.nn.SyncBatchNorm does this on GPUs only.
"""

import torch
from torch import distributed, nn


class AllReduce(torch.autograd.Function):
    """The sum over the processes; so is its gradient."""

    @staticmethod
    def forward(ctx, x: torch.Tensor) -> torch.Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, grad_y: torch.Tensor) -> torch.Tensor:
        return AllReduce.apply(grad_y.contiguous())


class SyncBatchNorm2d(nn.BatchNorm2d):
    """``nn.BatchNorm2d`` whose mean and variance are those of all processes' images together."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(input)
        x = input.to(self.weight.dtype)  # half precision would not do for the sums
        count = AllReduce.apply(x.new_tensor(x.numel() / x.shape[1]))
        mean = AllReduce.apply(x.sum(dim=(0, 2, 3))) / count
        centred = x - mean.view(1, -1, 1, 1)
        # Squares of what is centred: the mean square less the squared mean would cancel.
        variance = AllReduce.apply(centred.square().sum(dim=(0, 2, 3))) / count
        self._update(mean.detach(), variance.detach() * (count / (count - 1)))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(input.dtype)

    @torch.no_grad()
    def _update(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def synchronise(model: nn.Module, device: torch.device) -> nn.Module:
    """``model`` with every BatchNorm2d replaced by one over all processes; the same state."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for name, module in list(model.named_modules()):
        if type(module) is nn.BatchNorm2d:
            synced = SyncBatchNorm2d(module.num_features, module.eps, module.momentum)
            synced.to(module.weight).load_state_dict(module.state_dict())
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, synced)
    return model
