"""Two processes, started by torchrun, train what one process trains."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training import StopAfter, config, digits, noise

from fastconv.train import Learner, Observer, Place, Trainer
from fastconv.train.batches import batches

# 25 images a step are 13 + 12 for two processes, and the last 13 of an epoch 7 + 6.
OPTIONS = {"epochs": 2, "batch_size": 25, "augment": ("crop",), "mixup": 0.2}
ARGUMENTS = ["--epochs", "2", "--batch-size", "25", "--augment", "crop", "--mixup", "0.2"]


def torchrun(folder: Path, *arguments: object) -> subprocess.CompletedProcess:
    """`folder` takes the logs that torchrun leaves in the folder for temporary files."""
    folder.mkdir()
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=240,
    )  # fmt: skip


def losses(out: Path, layers: str) -> torch.Tensor:
    with open(out / "steps.csv", newline="") as stream:
        found = [float(row["loss"]) for row in csv.DictReader(stream) if row["layers"] == layers]
    return torch.tensor(found, dtype=torch.float64)


@pytest.fixture(scope="module")
def curves() -> dict[str, torch.Tensor]:
    """The losses of one process."""
    one = Trainer(config(**OPTIONS), digits(), None)
    one.fit()
    return {layers: learner.steps[:, 0] for layers, learner in one.learners.items()}


@pytest.fixture(scope="module")
def bound(curves: dict[str, torch.Tensor]) -> float:
    """How far curves may be apart that differ in rounding.

    Two processes add up the same gradients in another order, which rounds otherwise in every
    step. What such errors grow to in this run is measured with first weights that are off by
    2**-20, eight roundings.
    """
    one = Learner(config(**OPTIONS, layers="torch"), "torch", digits())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in one.model.parameters():
            signs = 2 * torch.randint(0, 2, parameter.shape, generator=generator) - 1
            parameter *= 1 + signs * 2**-20
    for epoch in (1, 2):
        one.train_epoch(epoch, Observer())
    far = (one.steps[:, 0] - curves["torch"]).abs().max().item()
    assert far < 1e-2  # of losses between 2.3 and 1; or the comparison would say little
    return far


def test_two_processes_have_the_loss_curve_of_one(tmp_path: Path, curves, bound: float):
    ran = torchrun(tmp_path / "logs", "-m", "fastconv", "train", *ARGUMENTS, "--out", tmp_path)
    assert ran.returncode == 0, ran.stderr
    for layers, wanted in curves.items():
        ours = losses(tmp_path, layers)
        assert ours.shape == wanted.shape == (2 * 58,)
        # In the first step nothing has grown yet: the mean of 25 losses of about 2.3.
        assert (ours[0] - wanted[0]).abs() < 25 * 2.3 * 2**-24
        assert (ours - wanted).abs().max() <= bound

    # Said once, by one of them.
    assert ran.stdout.count("2 processes") == 1
    assert ran.stdout.count("epoch 1/2  fastconv") == 1
    assert ran.stdout.count("checkpoint are in") == 1
    assert "Traceback" not in ran.stderr and "Warning" not in ran.stderr


def test_two_processes_go_on_where_one_has_stopped(tmp_path: Path, curves, bound: float):
    half = Trainer(config(**OPTIONS), digits(), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        half.fit(StopAfter(epoch=1))
    ran = torchrun(
        tmp_path / "logs", "-m", "fastconv", "train", *ARGUMENTS, "--out", tmp_path, "--resume"
    )
    assert ran.returncode == 0, ran.stderr
    assert "1 of them done" in ran.stdout
    for layers, wanted in curves.items():
        ours = losses(tmp_path, layers)
        assert torch.equal(ours[:58], wanted[:58])
        assert (ours[58:] - wanted[58:]).abs().max() <= bound


NORM = """
import torch
from torch import nn
from fastconv.train import join
from fastconv.train.norm import SyncBatchNorm2d, synchronise

torch.manual_seed(0)
x = torch.randn(5, 3, 4, 4, dtype=torch.float64) + 10
grad = torch.randn_like(x)
alone = nn.BatchNorm2d(3).double()
with torch.no_grad():
    alone.weight.copy_(torch.tensor([1.0, 2.0, -0.5])), alone.bias.fill_(0.3)
with join() as place:
    synced = nn.Sequential(nn.BatchNorm2d(3)).double()
    synced[0].load_state_dict(alone.state_dict())
    synced = synchronise(synced, place.device)
    assert type(synced[0]) is SyncBatchNorm2d
    whole, mine = x.clone().requires_grad_(), x[place.rank::2].clone().requires_grad_()
    y, part = alone(whole), synced(mine)
    y.backward(grad)
    part.backward(grad[place.rank::2])
    # 80 numbers of about 10 a channel, in float64
    def same(a, b):
        assert torch.allclose(a, b, rtol=0, atol=80 * 10 * 2**-50), (a, b)
    same(part, y[place.rank::2])
    same(mine.grad, whole.grad[place.rank::2])
    same(place.sum(synced[0].weight.grad), alone.weight.grad)
    same(place.sum(synced[0].bias.grad), alone.bias.grad)
    for name in ("running_mean", "running_var"):
        same(getattr(synced[0], name), getattr(alone, name))
    assert synced[0].num_batches_tracked == 1
    same(synced.eval()(x), alone.eval()(x))
    assert place.from_leader({"rank": place.rank}) == {"rank": 0}
    print(f"rank {place.rank} done")
"""
ONE_FAILS = """
import sys
from fastconv.train import join
with join() as place:
    if place.rank == 1:
        sys.exit("rank 1 has no data")
"""


def test_batch_norm_over_both_processes(tmp_path: Path):
    (tmp_path / "norm.py").write_text(NORM)
    ran = torchrun(tmp_path / "logs", tmp_path / "norm.py")
    assert ran.returncode == 0, ran.stderr
    for rank in range(2):  # counted, not split: the two may write into each other's lines
        assert ran.stdout.count(f"rank {rank} done") == 1


def test_one_process_that_fails_ends_the_other(tmp_path: Path):
    (tmp_path / "fails.py").write_text(ONE_FAILS)
    ran = torchrun(tmp_path / "logs", tmp_path / "fails.py")
    assert ran.returncode != 0
    assert "rank 1 has no data" in ran.stderr


@pytest.mark.parametrize("size", [2, 3])
def test_shares_are_the_batch(size: int):
    """20 images in batches of 7, 7 and 6, and of 19 and 1: then some have none of their own."""
    for batch_size in (7, 19):
        wanted = config(batch_size=batch_size, augment=("crop", "flip"), mixup=1.0)
        whole = list(batches(wanted, noise(), 1, Place()))
        shares = [list(batches(wanted, noise(), 1, Place(rank=r, size=size))) for r in range(size)]
        for index, batch in enumerate(whole):
            parts = [share[index] for share in shares]
            assert sum(part.share for part in parts) == pytest.approx(1)
            for rank, part in enumerate(parts):
                assert part.size == batch.size
                mine = slice(rank, None, size) if rank < batch.size else slice(0, 1)
                assert part.share == (len(batch.labels[mine]) / batch.size) * (rank < batch.size)
                for name in ("images", "target", "labels"):
                    assert torch.equal(getattr(part, name), getattr(batch, name)[mine])
