"""Several processes train one model with torch's own engine, started by ``torchrun``.

Layer: below the learner. Each batch is divided among the processes, DistributedDataParallel
averages the gradients, and sums over the processes give the figures that one process would give.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from fastconv.train.config import TrainError


@dataclass(frozen=True)
class Place:
    """Where this process computes, and which of how many it is."""

    device: torch.device = torch.device("cpu")
    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """The one process that prints and writes."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of every process's ``values``, on the CPU."""
        if self.size == 1:
            return values.cpu()
        total = values.to(self.device, copy=True)
        distributed.all_reduce(total)
        return total.cpu()

    def from_leader(self, value: Any) -> Any:
        """The leader's ``value`` in every process; plain values and CPU tensors."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """The others enter when the leader has left, for instance with a download."""
        if self.size > 1 and not self.leads:
            distributed.barrier()
        yield
        if self.size > 1 and self.leads:
            distributed.barrier()

    def share(self, model: nn.Module) -> nn.Module:
        """``model`` (on this device) as all processes train it together."""
        if self.size == 1:
            return model
        ids = None if self.device.type == "cpu" else [self.device.index]
        return DistributedDataParallel(model, device_ids=ids)


@contextmanager
def join(device: str = "cpu") -> Iterator[Place]:
    """This process among those that torchrun started, or alone.

    Args:
        device: "cpu", "cuda" or "cuda:N"; under torchrun "cuda" is the GPU of the process's own.

    Raises:
        TrainError: no such device.
    """
    size = int(os.environ.get("WORLD_SIZE", 1))
    place = Place(
        _device(device, int(os.environ.get("LOCAL_RANK", 0)) if size > 1 else None),
        int(os.environ.get("RANK", 0)) if size > 1 else 0,
        size,
    )
    if size == 1:
        yield place
        return
    distributed.init_process_group("nccl" if place.device.type == "cuda" else "gloo")
    yield place
    # Only where all went well: after an error the others would not come, and torchrun ends them.
    distributed.barrier()
    # A DistributedDataParallel holds the group. Were one left to the end of Python, the group's
    # threads would be joined by a thread that holds the lock they wait for.
    gc.collect()
    distributed.destroy_process_group()


def _device(name: str, local_rank: int | None) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise TrainError(f"device is {name!r}: choose cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = device.index if local_rank is None else local_rank
        device = torch.device("cuda", index or 0)
        if device.index >= count:
            raise TrainError(f"device is {name!r}, but this torch sees {count} CUDA devices")
        torch.cuda.set_device(device)
    elif device.type != "cpu":
        raise TrainError(f"device is {name!r}: choose cpu, cuda or cuda:N")
    return device
