"""Four threads that do at once what servers, trainers and debuggers do: more kinds of calls than
there are plans, weights changed in place, flags and hosts switched, filters given back, models
converted and reverted inside and outside of blocks of `enabled`, and compiled. Each result is
compared with torch's.

python tests/support/stress.py --seconds 60    says what was done, or dies
"""

import argparse
import copy
import faulthandler
import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import torch
import torch.nn.functional as F
from reference import assert_within, check_conv2d, conv2d_bounds

import fastconv
from fastconv import functional as ours
from fastconv.core import eager

THREADS = 4
MODEL = torch.nn.Sequential(
    torch.nn.Conv2d(3, 8, 3),
    torch.nn.MaxPool2d(2),
    torch.nn.utils.parametrizations.weight_norm(torch.nn.Conv2d(8, 8, 3)),
    torch.nn.AvgPool2d(2),
).double()
WIDTHS = 3000  # with two windows each: more kinds of calls than csrc/bindings/eager.cpp keeps


class Worker:
    """Its tensors are its own: a tensor that other threads write to has no right result."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        numbers = torch.Generator().manual_seed(seed)
        self.memory = torch.randn(4 * WIDTHS, generator=numbers)
        self.x = torch.randn(1, 32, 56, 56, generator=numbers)  # large enough to keep filters of w
        self.w = torch.randn(32, 32, 3, 3, generator=numbers)
        self.limit = conv2d_bounds(self.x, self.w, None, self.x, torch.float32, padding=1)[0]
        self.done: Counter = Counter()

    def shapes(self) -> None:
        first = self.random.randrange(WIDTHS)
        for i in range(first, first + 200):
            width = i % WIDTHS + 1
            x = self.memory[: 4 * width].view(1, 1, 2, 2 * width)
            for window in (1, 2):
                assert torch.equal(ours.max_pool2d(x, window), F.max_pool2d(x, window))

    def inference(self) -> None:
        """After a change of w that keeps all magnitudes, and so the bound."""
        w = self.w
        change = self.random.randrange(3)
        if change == 0:
            w.neg_()
        elif change == 1:
            w[0], w[-1] = w[-1].clone(), w[0].clone()
        else:
            w[self.random.randrange(32)].neg_()
        with torch.no_grad():
            y = ours.conv2d(self.x, w, padding=1)
        assert_within(y, F.conv2d(self.x.double(), w.double(), padding=1), self.limit)

    def training(self) -> None:
        check_conv2d(ours.conv2d, self.x[..., :9, :9], self.w, padding=1)

    def flags(self) -> None:
        named = {self.random.choice(["winograd", "filter_cache"]): self.random.random() < 0.5}
        with fastconv.flags(**named):
            self.inference()

    def cache(self) -> None:
        fastconv.clear_filter_cache()

    def host(self) -> None:
        eager.use(None)
        self.inference()
        eager.use(self.random.choice([*eager.hosts] or [None]))  # torch 2.4 has no host

    def converted(self) -> None:
        self.conversion(lambda model: model)

    def compiled(self) -> None:
        self.conversion(lambda model: torch.compile(model, backend="aot_eager"))

    def conversion(self, prepared: Callable) -> None:
        """A model of its own becomes ours, or its functions do, while others do the same."""
        model, x = copy.deepcopy(MODEL), self.x[:, :3, :16, :16].double()
        want = model(x)
        for mode in ("classes", "functions"):
            model = fastconv.convert(model, mode=mode)
            torch.testing.assert_close(prepared(model)(x), want)
            with fastconv.enabled():
                fastconv.enable()  # which the block's end leaves on
                torch.testing.assert_close(prepared(fastconv.revert(model))(x), want)
            fastconv.disable()
            assert torch._C._len_torch_function_stack() == 0

    # How often, of 100. Between two new hosts, which start without plans, there are calls of more
    # kinds than plans.
    ACTIONS = {shapes: 41, inference: 30, training: 12, flags: 8, cache: 4, converted: 3,
               compiled: 1, host: 1}  # fmt: skip

    def run(self, rounds: int, until: float) -> None:
        while self.done.total() < rounds or time.monotonic() < until:
            [action] = self.random.choices(list(self.ACTIONS), [*self.ACTIONS.values()])
            action(self)
            self.done[action.__name__] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="of each thread, at least")
    parser.add_argument("--seconds", type=float, default=0, help="at least")
    options = parser.parse_args()
    faulthandler.enable()
    workers = [Worker(seed) for seed in range(THREADS)]
    failed = []

    def run(worker: Worker) -> None:
        try:
            worker.run(options.rounds, time.monotonic() + options.seconds)
        except BaseException:
            failed.append(worker)
            raise

    threads = [threading.Thread(target=run, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(dict(sum((worker.done for worker in workers), Counter())))
    if failed:
        raise SystemExit(f"{len(failed)} of {THREADS} threads failed")


if __name__ == "__main__":
    main()
