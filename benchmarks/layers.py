"""fastconv beside torch on the convolution and pooling layers of the nets, direction by direction.

    python -m benchmarks.layers [--threads 2] [--channels-last] [--only lenet5] [--out NAME]

Both sides allocate their outputs anew, as in training. `x 2.50` means that torch takes 2.5 times as
long; the quartiles of the ratio stand behind it. FASTCONV_ISA chooses our instruction set.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from tabulate import tabulate
from tqdm import tqdm

from benchmarks.timing import compare, machine, report
from fastconv import ops

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from cases import NET_LAYERS, NET_POOLS, ConvCase, PoolCase  # noqa: E402

Pair = tuple[str, Callable, Callable]
aten = torch.ops.aten


def conv_pairs(case: ConvCase, memory_format: torch.memory_format) -> Iterator[Pair]:
    """(direction, ours, torch's) of one convolution."""
    x = torch.randn(case.input_size).contiguous(memory_format=memory_format)
    w = torch.randn(case.weight_size).contiguous(memory_format=memory_format)
    bias, pad = torch.randn(case.OC), case.padding[0::2]
    args = (case.stride, case.padding, case.dilation, case.groups)
    y = F.conv2d(x, w, bias, case.stride, pad, case.dilation, case.groups)
    grad_y, last = torch.randn_like(y), memory_format is torch.channels_last

    def theirs(*mask: bool) -> Callable:
        return lambda: aten.convolution_backward(
            grad_y,
            x,
            w,
            [case.OC],
            case.stride,
            pad,
            case.dilation,
            False,
            [0, 0],
            case.groups,
            mask,
        )

    yield (
        "forward",
        lambda: ops.conv2d(x, w, bias, *args),
        lambda: F.conv2d(x, w, bias, case.stride, pad, case.dilation, case.groups),
    )
    yield (
        "backward_input",
        lambda: ops.conv2d_backward_input(grad_y, w, x.shape, *args, last),
        theirs(True, False, False),
    )
    yield (
        "backward_weight",
        lambda: ops.conv2d_backward_weight(grad_y, x, w.shape, *args, last, True),
        theirs(False, True, True),
    )


def pool_pairs(case: PoolCase, memory_format: torch.memory_format) -> Iterator[Pair]:
    """(operation, ours, torch's) of max and average pooling and their gradients."""
    x = torch.randn(case.input_size).contiguous(memory_format=memory_format)
    window = (case.kernel, case.stride, case.padding)
    largest = (*window, case.dilation, case.ceil_mode)
    mean = (*window, case.ceil_mode, case.count_include_pad, case.divisor_override)
    y, indices = aten.max_pool2d_with_indices(x, *largest)
    _, codes = ops.max_pool2d(x, *largest, True)
    grad_y, last = torch.randn_like(y), memory_format is torch.channels_last
    yield (
        "max forward",
        lambda: ops.max_pool2d(x, *largest, True),
        lambda: aten.max_pool2d_with_indices(x, *largest),
    )
    yield (
        "max backward",
        lambda: ops.max_pool2d_backward(grad_y, codes, x.shape, *largest, last),
        lambda: aten.max_pool2d_with_indices_backward(grad_y, x, *largest, indices),
    )
    yield "avg forward", lambda: ops.avg_pool2d(x, *mean), lambda: aten.avg_pool2d(x, *mean)
    yield (
        "avg backward",
        lambda: ops.avg_pool2d_backward(grad_y, x.shape, *mean, last),
        lambda: aten.avg_pool2d_backward(grad_y, x, *mean),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--out", type=Path, help="also write NAME.json and NAME.md")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    memory_format = torch.channels_last if options.channels_last else torch.contiguous_format

    rows = []
    cases = [c for c in NET_LAYERS + NET_POOLS if options.only in c.name]
    for case in tqdm(cases, unit="layer", disable=None):
        pairs = conv_pairs if isinstance(case, ConvCase) else pool_pairs
        for direction, ours, theirs in pairs(case, memory_format):
            rows.append({"case": case.name, "what": direction} | compare(ours, theirs)._asdict())

    about = machine() | {"memory_format": str(memory_format)}
    table = [
        [
            r["case"],
            r["what"],
            f"{r['ours'] * 1e3:.3f}",
            f"{r['theirs'] * 1e3:.3f}",
            f"{r['ratio']:.2f}",
            f"{r['low']:.2f} - {r['high']:.2f}",
        ]
        for r in rows
    ]
    headers = ["layer", "", "fastconv ms", "torch ms", "torch / fastconv", "quartiles"]
    report(about, tabulate(table, headers, tablefmt="github", disable_numparse=True), options.out)
    if options.out:
        figures = {"machine": about, "rows": rows}
        options.out.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
