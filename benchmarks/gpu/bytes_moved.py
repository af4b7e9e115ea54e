"""Bytes that CUDA kernels move beside the compulsory ones, by the SIMT shim (docs/simt.md), which
counts the sectors of 32 bytes that each block touches. Compulsory: each element of the tensors of a
call once. A cache that several blocks share would move less. These are no measurements.
"""

from collections.abc import Iterator

import torch
from cases import ConvCase, PoolCase
from cuda_calls import conv_shape, dense, pool_shape
from cuda_shim import DTYPES, Shim, Tuning

MOST = 1.2  # of pools and depthwise: neighbouring blocks read the rows between them twice
BOUND = ("depthwise", "max", "average")  # the cases that must keep it


def same(pad: int) -> tuple[int, int, int, int]:
    return pad, pad, pad, pad


CASES = [
    ConvCase("depthwise 3x3", 1, 8, 28, 28, 8, 3, 3, padding=same(1), groups=8),
    ConvCase("depthwise 3x3, stride 2", 1, 8, 28, 28, 8, 3, 3, (2, 2), same(1), groups=8),
    PoolCase("max 2x2", 1, 8, 28, 28, (2, 2), (2, 2)),
    PoolCase("max 3x3, stride 2", 1, 8, 28, 28, (3, 3), (2, 2), (1, 1)),
    PoolCase("average 2x2", 1, 8, 28, 28, (2, 2), (2, 2), average=True),
    PoolCase("average 7x7, global", 8, 16, 7, 7, (7, 7), (7, 7), average=True),
    ConvCase("first layer 7x7, stride 2", 1, 3, 32, 32, 16, 7, 7, (2, 2), same(3)),
    ConvCase("dense 3x3", 1, 32, 12, 12, 64, 3, 3, padding=same(1)),
]
# The types and what the device has: float32 without tensor cores, float16 with them.
KINDS = {"float32": (torch.float32, Tuning()), "float16": (torch.float16, Tuning(tensor_cores=80))}


def count(shim: Shim, size_of: int, elements: int, name: str, *arguments) -> dict[str, float]:
    before = shim.counters()
    code = shim.call(name, *arguments)
    assert code == 0 and shim.errors() == [], (name, code, shim.errors())
    got = {key: value - before[key] for key, value in shim.counters().items()}
    row = {"moved": (got["bytes_read"] + got["bytes_written"]) / (size_of * elements),
           "sectors": got["sectors"] / got["ideal_sectors"]}  # fmt: skip
    if got["shared_requests"]:
        row["wavefronts"] = got["wavefronts"] / got["ideal_wavefronts"]
    return {key: round(value, 3) for key, value in row.items()}


def conv_rows(shim: Shim, case: ConvCase, last: bool, dtype, tuning) -> Iterator[tuple]:
    generator, n = torch.Generator().manual_seed(1), DTYPES[dtype]
    x, w, gy = (dense(size, dtype, last, generator)
                for size in (case.input_size, case.weight_size, case.output_size))  # fmt: skip
    at = {name: shim.give(name, t) for name, t in {"x": x, "w": w, "gy": gy}.items()}
    to = {name: shim.memory(name, t.numel(), t.element_size())
          for name, t in {"y": gy, "grad_x": x, "grad_w": w}.items()}  # fmt: skip
    shape, size = conv_shape(case, last, last, last), x.element_size()
    room = shim.call("conv2d_weight_workspace", n, shape, 0, tuning)
    workspace = shim.memory("workspace", -(-room // 4), 4)
    elements = x.numel() + w.numel() + gy.numel()
    yield "forward", count(shim, size, elements, "conv2d_forward", n, shape, at["x"], at["w"],
                           None, to["y"], 0, tuning, None)  # fmt: skip
    yield "backward_input", count(shim, size, elements, "conv2d_backward_input", n, shape,
                                  at["gy"], at["w"], to["grad_x"], 0, tuning, None)  # fmt: skip
    yield "backward_weight", count(shim, size, elements, "conv2d_backward_weight", n, shape,
                                   at["gy"], at["x"], to["grad_w"], None, workspace, 0, tuning,
                                   None)  # fmt: skip


def pool_rows(shim: Shim, case: PoolCase, last: bool, dtype, tuning) -> Iterator[tuple]:
    generator, n = torch.Generator().manual_seed(1), DTYPES[dtype]
    shape = pool_shape(case, last)
    x = dense(case.input_size, dtype, last, generator)
    gy = dense((case.N, case.C, shape.OH, shape.OW), dtype, last, generator)
    size, outputs = x.element_size(), gy.numel()
    ax, agy = shim.give("x", x), shim.give("gy", gy)
    ay, agx = shim.memory("y", outputs, size), shim.memory("grad_x", x.numel(), size)
    elements = x.numel() + outputs
    if case.average:
        yield "forward", count(shim, size, elements, "avg_pool2d_forward", n, shape, ax, ay,
                               tuning, None)  # fmt: skip
        yield "backward", count(shim, size, elements, "avg_pool2d_backward", n, shape, agy, agx,
                                tuning, None)  # fmt: skip
        return
    codes = shim.memory("codes", outputs, 1)
    with_codes = elements + outputs / size  # of one byte each
    yield "forward", count(shim, size, with_codes, "max_pool2d_forward", n, shape, ax, ay, codes,
                           tuning, None)  # fmt: skip
    yield "backward", count(shim, size, with_codes, "max_pool2d_backward", n, shape, agy, codes,
                            agx, tuning, None)  # fmt: skip


def table(found: dict[str, dict[str, float]]) -> list[str]:
    """A line for each case and type: bytes moved / compulsory ones of each direction."""
    lines = ["| call | NCHW | channels_last |", "|---|---|---|"]
    for case in CASES:
        for kind in KINDS:
            cells = []
            for layout in ("nchw", "nhwc"):
                start = f"{case.name}, {kind}, {layout}, "
                moved = [f"{row['moved']:.2f}" for k, row in found.items() if k.startswith(start)]
                cells.append(" / ".join(moved))
            lines.append(f"| {case.name}, {kind} | " + " | ".join(cells) + " |")
    return lines


def bytes_moved(shim: Shim) -> dict[str, dict[str, float]]:
    """{"case, type, layout, direction": bytes moved / compulsory, sectors touched / ideal, and with
    shared memory wavefronts / ideal ones}"""
    found = {}
    for case in CASES:
        rows_of = pool_rows if isinstance(case, PoolCase) else conv_rows
        for kind, (dtype, tuning) in KINDS.items():
            for layout, last in (("nchw", False), ("nhwc", True)):
                shim.reset(counting=True)
                for direction, row in rows_of(shim, case, last, dtype, tuning):
                    found[f"{case.name}, {kind}, {layout}, {direction}"] = row
    return found
