"""Step "bench": milliseconds of each direction beside torch's CUDA functions, with and without
cudnn.benchmark, in the order of value: depthwise, pools, first layers, small batches, dense.

    python -m benchmarks.gpu.bench FILE [--device cpu] [--rounds N] [--only TEXT]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from cases import ConvCase, PoolCase

import fastconv
from benchmarks.gpu.rows import Rows
from fastconv.core.autograd import _backward_input, _backward_weight
from fastconv.core.tensors import is_channels_last

LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
ROUNDS, CALLS = 7, 5  # a round times CALLS calls of each side in turn


def same(pad: int) -> tuple[int, int, int, int]:
    return pad, pad, pad, pad


def dense(name: str, n: int, ic: int, extent: int, oc: int, k: int, stride: int = 1) -> ConvCase:
    return ConvCase(name, n, ic, extent, extent, oc, k, k, (stride, stride), same(k // 2))


def depthwise(n: int, c: int, extent: int, k: int, stride: int = 1) -> ConvCase:
    name = f"depthwise {k}x{k}, {c} channels, {extent}x{extent}, stride {stride}"
    return ConvCase(name, n, c, extent, extent, c, k, k, (stride, stride), same(k // 2), groups=c)


LAYERS = [
    depthwise(64, 144, 56, 3),
    depthwise(64, 384, 14, 3),
    depthwise(64, 144, 56, 3, 2),
    depthwise(64, 192, 28, 7),
    depthwise(1, 384, 14, 3),
    PoolCase("max 3x3/2, 64 channels, 112x112", 64, 64, 112, 112, (3, 3), (2, 2), (1, 1)),
    PoolCase("average 7x7, 2048 channels", 64, 2048, 7, 7, (7, 7), (7, 7), average=True),
    dense("first layer 7x7/2", 64, 3, 224, 64, 7, 2),
    dense("3x3, 64 channels, 56x56, one image", 1, 64, 56, 64, 3),
    dense("1x1, 512 channels, 14x14, one image", 1, 512, 14, 512, 1),
    dense("3x3, 64 channels, 56x56", 64, 64, 56, 64, 3),
    dense("3x3, 256 channels, 14x14", 64, 256, 14, 256, 3),
    dense("1x1, 256 to 64 channels, 56x56", 64, 256, 56, 64, 1),
    dense("3x3/2, 128 channels, 56x56", 64, 128, 56, 128, 3, 2),
]
TYPES = {"float32": torch.float32, "tf32": torch.float32, "float16": torch.float16}


def conv_calls(case: ConvCase, dtype, layout, device: str) -> dict[str, tuple[Callable, Callable]]:
    """{direction: (ours, torch's)}"""
    x, w, gy = (
        torch.randn(s, device=device).to(dtype).to(memory_format=layout)
        for s in (case.input_size, case.weight_size, case.output_size)
    )
    args = (case.stride, case.padding, case.dilation, case.groups)
    padding, grad = list(case.padding[::2]), torch.ops.aten.convolution_backward

    def torchs(mask):
        return lambda: grad(gy, x, w, None, case.stride, padding, case.dilation, False, [0, 0],
                            case.groups, mask)  # fmt: skip

    last = is_channels_last(x), is_channels_last(w)
    forward = (case.stride, padding, case.dilation, case.groups)
    return {
        "forward": (
            lambda: fastconv.functional.conv2d(x, w, None, *forward),
            lambda: torch.nn.functional.conv2d(x, w, None, *forward),
        ),
        "backward_input": (
            lambda: _backward_input(gy, w, x.shape, args, last[0]),
            torchs([True, False, False]),
        ),
        "backward_weight": (
            lambda: _backward_weight(gy, x, w.shape, args, last[1], False),
            torchs([False, True, False]),
        ),
    }


def pool_calls(case: PoolCase, dtype, layout, device: str) -> dict[str, tuple[Callable, Callable]]:
    x = torch.randn(case.input_size, device=device).to(dtype).to(memory_format=layout)
    x.requires_grad_()
    name = "avg_pool2d" if case.average else "max_pool2d"
    arguments = (case.kernel, case.stride, case.padding)

    def pair(functions):
        pool = getattr(functions, name)
        with torch.enable_grad():
            y = pool(x, *arguments)
        gy = torch.randn_like(y)
        return (
            lambda: pool(x.detach(), *arguments),
            lambda: torch.autograd.grad(y, x, gy, retain_graph=True),
        )

    ours, torchs = pair(fastconv.functional), pair(torch.nn.functional)
    return dict(zip(("forward", "backward"), zip(ours, torchs, strict=True), strict=True))


LAST_DIRECTION = {conv_calls: "backward_weight", pool_calls: "backward"}


def milliseconds(call: Callable, device: str) -> float:
    """Of one call, by CUDA's events; the queue is full, so the host's time is hidden where it is
    shorter than the kernels'."""
    if device != "cuda":
        start = time.perf_counter()
        call()
        return (time.perf_counter() - start) * 1e3
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(CALLS):
        call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / CALLS


def measure(ours: Callable, torchs: Callable, device: str, rounds: int, tf32: bool) -> dict:
    """Medians, and the median ratio torch / ours: above 1 fastconv is faster."""
    sides: dict[str, list[float]] = {"fastconv": [], "cudnn": [], "cudnn.benchmark": []}
    with torch.no_grad(), fastconv.flags(cuda="fastconv"):
        for round_ in range(-1, rounds):  # the first warms up, and lets cuDNN choose
            for side, times in sides.items():
                search = side == "cudnn.benchmark"
                with torch.backends.cudnn.flags(enabled=True, benchmark=search, allow_tf32=tf32):
                    took = milliseconds(ours if side == "fastconv" else torchs, device)
                if round_ >= 0:
                    times.append(took)
    row = {f"ms {side}": round(statistics.median(times), 5) for side, times in sides.items()}
    for side in ("cudnn", "cudnn.benchmark"):
        ratios = [t / o for t, o in zip(sides[side], sides["fastconv"], strict=True)]
        row[f"{side} / fastconv"] = round(statistics.median(ratios), 3)
    return row


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="part of a layer's name")
    chosen = parser.parse_args(given)
    rows = Rows(chosen.file)
    for case in (c for c in LAYERS if chosen.only in c.name):
        for kind, dtype in TYPES.items():
            for name, layout in LAYOUTS.items():
                if isinstance(case, PoolCase) and kind == "tf32":
                    continue
                tf32 = kind == "tf32"
                calls_of = pool_calls if isinstance(case, PoolCase) else conv_calls
                key = f"{case.name}, batch {case.N}, {kind}, {name}"
                if f"{key}, {LAST_DIRECTION[calls_of]}" in rows.rows:
                    continue
                for direction, pair in calls_of(case, dtype, layout, chosen.device).items():
                    rows.add(
                        f"{key}, {direction}",
                        lambda pair=pair, tf32=tf32: measure(
                            *pair, chosen.device, chosen.rounds, tf32
                        ),
                    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
