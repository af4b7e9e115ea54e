"""Dilated layers as small layers without dilation: bit for bit what the path of the small layers
makes of each. Their sums are tested by test_kernels.py and test_winograd.py. Run once per
instruction set by test_isa.py."""

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
DTYPES = (torch.float32, *HALVES)
CALLS = [(c, layout, t) for c in CASES for layout in ("nchw", "nhwc", "mixed") for t in DTYPES]


def small_layers(case: ConvCase):
    """The case of each small layer: slices of x and of y of the residues that have it."""

    def axis(extent, outputs, K, before, dilation):
        for r in range(dilation):
            q = (r - before) % dilation
            source, sums = len(range(q, extent, dilation)), len(range(r, outputs, dilation))
            top = (before - r + q) // dilation
            yield (slice(q, None, dilation), slice(r, None, dilation), source,
                   (top, sums + K - 1 - source - top))  # fmt: skip

    shape = _C.Conv2dShape(case.input_size, case.weight_size, case.stride, case.padding,
                           case.dilation, case.groups)  # fmt: skip
    top, _, left, _ = case.padding
    layers = {}
    for x_rows, y_rows, IH, vertical in axis(case.IH, shape.OH, case.KH, top, case.dilation[0]):
        for x_columns, y_columns, IW, horizontal in axis(
            case.IW, shape.OW, case.KW, left, case.dilation[1]
        ):
            small = ConvCase("", case.N, case.IC, IH, IW, case.OC, case.KH, case.KW,
                             padding=(*vertical, *horizontal), groups=case.groups)  # fmt: skip
            places = (..., x_rows, x_columns), (..., y_rows, y_columns)
            layers.setdefault(small, []).append(places)
    return layers


@pytest.mark.parametrize(
    "case, layout, dtype",
    [*CALLS, (CHUNKS, "nchw", torch.float32)],
    ids=lambda v: getattr(v, "name", str(v)),
)
def test_a_dilated_layer_is_its_small_layers(case, layout, dtype):
    whole = Conv(case, dtype, layout)
    ran = set()
    for direction in ("forward", "backward_input"):
        for path in supporting(direction, whole.shape):
            if not path.startswith("dilated-"):
                continue
            ran.add(path)
            result = whole.run(direction, path)[direction]
            for small, places in small_layers(case).items():
                layer = Conv(small._replace(N=len(places) * case.N), dtype, layout)
                x = torch.cat([whole.tensors[0][at_x] for at_x, _ in places])
                grad_y = torch.cat([whole.tensors[3][at_y] for _, at_y in places])
                layer.x = in_memory(x, layer.last[0])
                layer.grad_y = in_memory(grad_y, layer.last[2])
                layer.w, layer.bias = whole.w, whole.bias
                want = layer.run(direction, path.removeprefix("dilated-"))[direction]
                got = [result[at_y if direction == "forward" else at_x] for at_x, at_y in places]
                assert torch.equal(torch.cat(got), want), (direction, path, small)
    assert "dilated-winograd" in ran


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
