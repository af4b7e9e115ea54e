"""Step "train": the losses and the seconds of a few steps of LeNet-5 and ResNet-18 with fastconv's
kernels, with those that "auto" chooses, and with torch's.

    python -m benchmarks.gpu.train FILE [--device cpu] [--steps N] [--nets lenet5]
"""

import argparse
import time

import torch

import fastconv
from benchmarks.gpu.rows import Rows
from fastconv import models

NETS = {"lenet5": ((128, 1, 32, 32), 30), "resnet18": ((64, 3, 224, 224), 12)}
HOW = ("fastconv", "auto", "torch")  # of fastconv.flags(cuda=...)
WARM_UP = 3  # steps before the clock starts: cuDNN's choice, torch's allocator


def train(net: str, how: str, size: tuple, steps: int, device: str) -> dict:
    """Losses of each step, and the seconds of a step behind the warm-up."""
    torch.manual_seed(0)
    layers = "torch" if how == "torch" else "fastconv"
    model = models.build(net, layers=layers).to(device)
    images = torch.randn(size, generator=torch.Generator().manual_seed(1)).to(device)
    labels = (torch.arange(size[0]) % 10).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    fastconv.fallbacks(reset=True)
    losses, start = [], 0.0
    with fastconv.flags(cuda=how):
        for step in range(steps):
            if step == min(WARM_UP, steps - 1):
                wait(device)
                start = time.perf_counter()
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
    wait(device)
    seconds = (time.perf_counter() - start) / max(1, steps - min(WARM_UP, steps - 1))
    left = {f"{name}, {why}": count for (name, why), count in fastconv.fallbacks().items()}
    return {"losses": [round(float(x), 5) for x in losses], "ms of a step": round(seconds * 1e3, 3),
            "left to torch": left}  # fmt: skip


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int)
    chosen = parser.parse_args(given)
    rows = Rows(chosen.file)
    for net in chosen.nets:
        size, steps = NETS[net]
        size, steps = (chosen.batch or size[0], *size[1:]), chosen.steps or steps
        for how in HOW:
            rows.add(f"{net}, {how}", lambda *a: train(net, how, size, steps, chosen.device))  # noqa: B023
    return 1 if rows.errors() else 0


if __name__ == "__main__":
    raise SystemExit(main())
