"""Plans of plain eager calls: which are forgotten, and that their table is whole whenever Python
code can run. What threads do to it at random: stress.py."""

import gc
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from fastconv import functional as ours
from fastconv.core import eager
from fastconv.core.extension import _C

MAX_PLANS = 4096  # csrc/bindings/eager.cpp
MAX_POOL2D = 1  # the place of its planner


def use_planner(host: str, plan) -> None:
    """Until eager.use is called, plan(x, *arguments) makes the plans of max_pool2d."""
    planners = list(eager._PLANNERS)
    planners[MAX_POOL2D] = plan
    _C.eager_use(eager.hosts[host], planners)


def pool(width: int) -> None:
    x = torch.arange(2.0 * width).view(1, 1, 1, 2 * width)
    assert torch.equal(ours.max_pool2d(x, (1, 2)), F.max_pool2d(x, (1, 2)))


def test_the_least_recently_used_plan_is_forgotten(host):
    planned = Counter()

    def plan(x, *arguments):
        planned[x.shape[3] // 2] += 1
        return eager._PLANNERS[MAX_POOL2D](x, *arguments)

    use_planner(host, plan)
    for width in range(1, MAX_PLANS + 1):
        pool(width)
        pool(1)
    assert set(planned.values()) == {1}  # all are kept
    pool(MAX_PLANS + 1)
    for width in (1, MAX_PLANS, MAX_PLANS + 1, 3):
        pool(width)
        assert planned[width] == 1, width
    pool(2)
    assert planned[2] == 2 and planned.total() == MAX_PLANS + 2


def test_a_plan_of_former_planners_is_not_kept(host):
    planned = Counter()

    def latter(x, *arguments):
        planned["latter"] += 1
        return eager._PLANNERS[MAX_POOL2D](x, *arguments)

    def former(x, *arguments):
        planned["former"] += 1
        use_planner(host, latter)  # another thread might, just now
        return eager._PLANNERS[MAX_POOL2D](x, *arguments)

    use_planner(host, former)
    for _ in range(3):
        pool(3)
    assert planned == {"former": 1, "latter": 1}


def test_a_planner_may_call_what_it_plans(host):
    def plan(x, *arguments):
        if x.shape[3] > 2:
            pool(x.shape[3] // 2 - 1)
        return eager._PLANNERS[MAX_POOL2D](x, *arguments)

    use_planner(host, plan)
    pool(50)


class Leaving:
    """Computes while it is released, as code of another thread may then."""

    released = 0

    def __del__(self):
        Leaving.released += 1
        pool(Leaving.released % 7 + 1)


@pytest.mark.parametrize("how", ["evicted", "replaced"])
def test_plans_are_released_when_the_table_is_whole(host, how):
    def plan(x, *arguments):
        *rest, (y, codes, call, indices) = eager._PLANNERS[MAX_POOL2D](x, *arguments)
        return *rest, (y, codes, (*call, Leaving()))

    kinds = 300
    before = Leaving.released
    use_planner(host, plan)
    for width in range(1, kinds + 1):
        pool(width)
    if how == "replaced":
        eager.use(host)
    else:
        for width in range(kinds + 1, kinds + MAX_PLANS + 1):
            pool(width)
    gc.collect()
    assert Leaving.released - before >= kinds
    pool(kinds)
    eager.use(host)  # releases what is left while it can still compute


@pytest.mark.skipif("_C" not in eager.hosts, reason="torch has no DLPack exchange API")
def test_a_host_made_while_another_looks_for_watchers():
    made = []

    def watcher():
        if len(made) < 50:
            made.append(eager._python_host())
            gc.collect()
        return False

    host = _C.python_host(
        exchange_api=torch.Tensor.__dlpack_c_exchange_api__,
        types=[torch.Tensor],
        watchers=[watcher, *(lambda: False for _ in range(20))],
        grad_enabled=torch.is_grad_enabled,
        threads=torch.get_num_threads,
        empty_like=torch.empty_like,
        forward_ad=torch.autograd.forward_ad,
        applies=[None] * len(eager._PLANNERS),  # of calls with gradients
    )
    try:
        _C.eager_use(host, eager._PLANNERS)
        pool(5)
        assert made
    finally:
        eager._python_host()
        eager.use(next(iter(eager.hosts)))


def test_many_threads_change_everything_at_once():
    command = [sys.executable, str(Path(__file__).parent.parent / "support" / "stress.py")]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    for action in ("shapes", "inference", "training", "flags", "cache", "converted", "host"):
        assert f"'{action}':" in done.stdout
