"""Microseconds per call on a 1x1x8x8 input, where the kernels cost next to nothing.

python -m benchmarks.overhead [--out NAME]
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from tabulate import tabulate

import fastconv
from benchmarks.timing import compare, machine, report
from fastconv import functional

CALLS = 200


def repeated(function, *args):
    def run() -> None:
        for _ in range(CALLS):
            function(*args)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write NAME.md")
    options = parser.parse_args()
    x, w, bias = torch.randn(1, 1, 8, 8), torch.randn(1, 1, 3, 3), torch.randn(1)
    xg, wg = x.clone().requires_grad_(), w.clone().requires_grad_()
    ours, theirs = fastconv.Conv2d(1, 1, 3), torch.nn.Conv2d(1, 1, 3)
    pairs = [
        ("conv2d", functional.conv2d, F.conv2d, (x, w, bias)),
        ("conv2d, weight requires grad", functional.conv2d, F.conv2d, (x, wg, bias)),
        ("conv2d, all require grad", functional.conv2d, F.conv2d, (xg, wg, bias)),
        ("Conv2d module", ours, theirs, (x,)),
    ]
    for name in ("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"):
        for tensor, suffix in ((x, ""), (xg, ", requires grad")):
            a, b = getattr(functional, name), getattr(F, name)
            pairs.append((name + suffix, a, b, (tensor, 2)))
    rows = []
    for name, a, b, args in pairs:
        c = compare(repeated(a, *args), repeated(b, *args))
        spread = f"{1 / c.high:.2f} - {1 / c.low:.2f}"
        times = [f"{t / CALLS * 1e6:.1f}" for t in (c.ours, c.theirs)]
        rows.append([name, *times, f"{1 / c.ratio:.2f}", spread])
    headers = ["call", "fastconv us", "torch us", "fastconv / torch", "quartiles"]
    table = tabulate(rows, headers, tablefmt="github", disable_numparse=True)
    report(machine(), table, options.out)


if __name__ == "__main__":
    main()
