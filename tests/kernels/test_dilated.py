"""Dilated layers as small layers without dilation: bit for bit what the path of the small layers
makes of each. Their sums are tested by test_kernels.py and test_winograd.py. Run once per
instruction set by test_isa.py."""

import itertools
from typing import NamedTuple

import pytest
import torch
from cases import ConvCase
from raw_kernels import HALVES, Conv, in_memory, supporting

import fastconv
from fastconv.core.extension import _C

CASES = [
    ConvCase("the dilation divides the map", 2, 5, 12, 9, 6, 3, 3, (1, 1), (2, 2, 3, 3), (2, 3)),
    ConvCase("extents of all sizes", 3, 9, 13, 17, 8, 3, 3, (1, 1), (3, 0, 1, 7), (4, 5)),
    ConvCase("no padding, groups", 1, 6, 11, 14, 4, 3, 3, (1, 1), (0,) * 4, (3, 2), 2),
    ConvCase("wide padding", 2, 3, 7, 5, 4, 3, 3, (1, 1), (9, 11, 8, 13), (5, 2)),
    ConvCase("one axis", 2, 3, 12, 7, 4, 3, 3, (1, 1), (2, 2, 1, 1), (2, 1)),
    ConvCase("5x5", 1, 4, 15, 14, 3, 5, 5, (1, 1), (4, 5, 3, 4), (2, 2)),
]
# Copies of more than 8 MiB. The exact results of torch take seconds.
CHUNKS = ConvCase("several chunks", 6, 64, 57, 56, 64, 3, 3, (1, 1), (2,) * 4, (2, 2))
DIRECTIONS = ("forward", "backward_input")
DTYPES = (torch.float32, *HALVES)
CALLS = [(c, layout, t) for c in CASES for layout in ("nchw", "nhwc", "mixed") for t in DTYPES]


class Residue(NamedTuple):
    """The small image of one residue, along one axis: its rows of x and y, and its padding."""

    x: slice
    y: slice
    source: int
    outputs: int
    before: int


def residues(extent: int, outputs: int, before: int, dilation: int) -> list[Residue]:
    found = []
    for r in range(dilation):
        q = (r - before) % dilation
        rows, sums = len(range(q, extent, dilation)), len(range(r, outputs, dilation))
        found.append(
            Residue(
                slice(q, None, dilation),
                slice(r, None, dilation),
                rows,
                sums,
                (before - r + q) // dilation,
            )
        )
    return found


def batches(case: ConvCase, whole: bool) -> list[list[tuple[Residue, Residue]]]:
    """The residues that are one layer: all of them, or those that are alike."""
    y = _C.Conv2dShape(case.input_size, case.weight_size, case.stride, case.padding, case.dilation,
                       case.groups)  # fmt: skip
    top, _, left, _ = case.padding
    rows = residues(case.IH, y.OH, top, case.dilation[0])
    columns = residues(case.IW, y.OW, left, case.dilation[1])
    found = {}
    for row, column in itertools.product(rows, columns):
        found.setdefault(None if whole else (row[2:], column[2:]), []).append((row, column))
    return list(found.values())


def small_layer(whole: Conv, batch, dtype, layout) -> tuple[Conv, list]:
    """The layer of a batch, with rows of zeros where its small images differ, and for each residue
    where its pixels lie: in x and in the small x, in y and in the small y."""
    case = whole.case
    rows, columns = zip(*batch, strict=True)
    K = {"rows": case.KH, "columns": case.KW}
    extent, padding = {}, {}
    for name, axis in (("rows", rows), ("columns", columns)):
        before = min(r.before for r in axis)
        source = max(r.source + r.before for r in axis) - before
        outputs = max(r.outputs for r in axis)
        extent[name] = source, before
        padding[name] = before, outputs + K[name] - 1 - source - before
    (IH, top), (IW, left) = extent["rows"], extent["columns"]
    N = case.N * len(batch)
    small = ConvCase("", N, case.IC, IH, IW, case.OC, case.KH, case.KW,
                     padding=padding["rows"] + padding["columns"], groups=case.groups)  # fmt: skip
    layer = Conv(small, dtype, layout)
    x, grad_y = torch.zeros(small.input_size, dtype=dtype), torch.zeros(layer.y_size, dtype=dtype)
    places = []
    for i, (row, column) in enumerate(batch):
        n = slice(i * case.N, (i + 1) * case.N)
        h, w = row.before - top, column.before - left
        at_x = (..., row.x, column.x)
        in_x = (n, slice(None), slice(h, h + row.source), slice(w, w + column.source))
        at_y = (..., row.y, column.y)
        in_y = (n, slice(None), slice(0, row.outputs), slice(0, column.outputs))
        x[in_x], grad_y[in_y] = whole.tensors[0][at_x], whole.tensors[3][at_y]
        places.append({"backward_input": (at_x, in_x), "forward": (at_y, in_y)})
    layer.x, layer.grad_y = in_memory(x, layer.last[0]), in_memory(grad_y, layer.last[2])
    layer.w, layer.bias = whole.w, whole.bias
    return layer, places


@pytest.mark.parametrize(
    "case, layout, dtype",
    [*CALLS, (CHUNKS, "nchw", torch.float32)],
    ids=lambda v: getattr(v, "name", str(v)),
)
def test_a_dilated_layer_is_its_small_layers(case, layout, dtype):
    whole = Conv(case, dtype, layout)
    paths = {p for d in DIRECTIONS for p in supporting(d, whole.shape) if p.startswith("dilated-")}
    assert "dilated-winograd" in paths
    for path in paths:
        got = {d: whole.run(d, path)[d] for d in DIRECTIONS}
        for batch in batches(case, whole=path == "dilated-winograd"):
            layer, places = small_layer(whole, batch, dtype, layout)
            for direction in DIRECTIONS:
                want = layer.run(direction, path.removeprefix("dilated-"))[direction]
                for place in places:
                    at, inside = place[direction]
                    assert torch.equal(got[direction][at], want[inside]), (path, direction)


def test_a_nan_reaches_only_the_outputs_above_it():
    x, w = torch.randn(1, 64, 40, 40), torch.randn(64, 64, 3, 3)
    assert fastconv.explain(x, w, padding=2, dilation=2)["forward"].startswith("dilated-winograd")
    x[0, 3, 20, 21] = torch.nan
    y = fastconv.functional.conv2d(x, w, padding=2, dilation=2)
    touched = torch.zeros(40, 40, dtype=torch.bool)
    touched[18:23:2, 19:24:2] = True
    assert (y.isnan() == touched).all()


def test_flags_leave_winograd_out_of_dilated_layers_too():
    x, w = torch.randn(1, 64, 40, 40), torch.randn(64, 64, 3, 3)
    with fastconv.flags(winograd=False):
        assert "winograd" not in fastconv.explain(x, w, padding=2, dilation=2)["forward"]


def test_the_workspace_does_not_grow_with_the_batch():
    def workspace(n, size):
        shape = _C.Conv2dShape((n, 64, size, size), (64, 64, 3, 3), (1, 1), (2,) * 4, (2, 2), 1)
        if "dilated-winograd" not in supporting("forward", shape):
            return 0
        number = _C.DTYPES["float32"]
        return _C.conv2d_workspace_bytes("forward", number, shape, 2, "dilated-winograd")

    assert workspace(2, 56) > 0
    for n, size in ((64, 56), (1000, 224), (1, 100_000)):
        assert workspace(n, size) <= 64 << 20
