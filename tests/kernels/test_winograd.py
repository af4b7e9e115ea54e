"""Winograd: its transforms against matrices derived from the points, every direction within the
bound of its own arithmetic. NaN, infinity and huge values: test_winograd_extremes.py."""

import itertools

import pytest
import torch
from cases import ConvCase
from raw_kernels import DIRECTIONS, DTYPES, LAYOUTS, Conv
from winograd_matrices import Magnitudes, evaluate, filter_matrix, input_matrix, tensor, transposed

import fastconv
from fastconv import _debug
from fastconv.core.extension import _C

CASES = [
    ConvCase("one_pixel", 1, 1, 1, 1, 1, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("one_tile", 1, 5, 6, 6, 7, 3, 3),
    ConvCase("tile_less_one", 2, 16, 5, 5, 16, 3, 3),
    ConvCase("tile_and_one", 2, 17, 7, 7, 15, 3, 3),
    ConvCase("partial_tiles", 3, 33, 11, 13, 31, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("four_paddings", 1, 4, 9, 10, 5, 3, 3, padding=(0, 3, 2, 1)),
    ConvCase("padding_beyond_kernel", 1, 3, 4, 5, 6, 3, 3, padding=(5, 4, 6, 3)),
    ConvCase("channels_of_two_panels", 2, 8, 8, 9, 70, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("sum_in_parts", 1, 300, 6, 6, 9, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("filters_private", 1, 256, 4, 4, 256, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("many_rows", 2, 6, 90, 5, 8, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("long_rows", 1, 6, 3, 700, 8, 3, 3, padding=(1, 1, 1, 1)),
    # Lanes = tiles, of NCHW, down to 5x5_groups_of_tiles: rows of 14, 7, 8, 50 tiles, ...
    ConvCase("runs_of_two", 1, 5, 20, 56, 6, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("runs_of_one", 2, 3, 28, 27, 35, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("rows_and_their_parts", 2, 4, 50, 32, 3, 3, 3, padding=(0, 3, 2, 1)),
    ConvCase("parts_of_rows", 1, 4, 9, 200, 66, 3, 3, padding=(2, 0, 0, 2)),
    ConvCase("sums_in_parts_of_blocks", 2, 130, 28, 30, 40, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("filters_private_to_blocks", 2, 260, 30, 30, 260, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("filters_private_by_parts", 2, 260, 16, 16, 260, 3, 3, padding=(1, 1, 1, 1)),
    ConvCase("groups_of_tiles", 2, 24, 30, 31, 18, 3, 3, padding=(1, 1, 1, 1), groups=3),
    ConvCase("5x5_tiles", 2, 5, 16, 12, 18, 5, 5, padding=(2, 2, 2, 2)),
    ConvCase("5x5_runs_of_four_and_eight", 1, 66, 20, 48, 9, 5, 5, padding=(2, 1, 0, 2)),
    ConvCase("5x5_groups_of_tiles", 3, 8, 17, 28, 6, 5, 5, padding=(2, 2, 1, 3), groups=2),
    ConvCase("groups", 2, 24, 9, 9, 18, 3, 3, padding=(1, 1, 1, 1), groups=3),
    ConvCase("depthwise", 1, 6, 9, 8, 6, 3, 3, padding=(1, 1, 1, 1), groups=6),
    ConvCase("5x5", 2, 20, 12, 12, 50, 5, 5, padding=(2, 2, 2, 2)),
    ConvCase("5x5_no_padding", 1, 3, 9, 10, 17, 5, 5),
    ConvCase("5x5_groups", 1, 8, 7, 8, 6, 5, 5, padding=(2, 2, 1, 3), groups=2),
]
TRANSFORMS = ["input", "filter", "output", "output_gradient", "filter_gradient"]


def matrix(name: str, k: int) -> torch.Tensor:
    out = 7 - k
    return tensor({
        "input": input_matrix(),
        "filter": filter_matrix(k),
        "output": transposed(evaluate(out)),
        "output_gradient": evaluate(out),
        "filter_gradient": transposed(filter_matrix(k)),
    }[name])  # fmt: skip


def test_the_matrices_convolve_exactly():
    for k in (3, 5):
        out = 7 - k
        A, B, G = evaluate(out), input_matrix(), filter_matrix(k)
        for i, (j, tap) in itertools.product(range(out), itertools.product(range(6), range(k))):
            # y_i = sum over points p of A[p][i] (G g)_p (B^T d)_p, of unit g = tap and d = j
            y = sum(A[p][i] * G[p][tap] * B[p][j] for p in range(6))
            assert y == (j == i + tap)


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_are_their_matrices(name, k):
    m = matrix(name, k)
    tile = torch.randn(m.shape[1], m.shape[1], dtype=torch.float64)
    got = _debug.winograd_transform(name, k, tile.flatten().tolist())
    got = torch.tensor(got, dtype=torch.float64)
    bound = 2**-53 * 50 * (m.abs() @ tile.abs() @ m.abs().T)  # fewer roundings on any way through
    assert ((got.view(len(m), -1) - m @ tile @ m.T).abs() <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_direction_is_within_the_bound_of_its_arithmetic(case, layout, dtype):
    conv = Conv(case, dtype, layout)
    sizes = Magnitudes(case)
    x, w, bias, grad_y = (t.double().abs() for t in conv.tensors)
    magnitude = {
        "forward": sizes.forward(x, w, conv.y_size[2:]) + bias[:, None, None],
        "backward_input": sizes.backward_input(grad_y, w),
        "backward_weight": sizes.backward_weight(grad_y, x),
        "bias": grad_y.sum((0, 2, 3)),
    }
    for direction in DIRECTIONS:
        n = sizes.roundings(conv.terms(direction)) * torch.finfo(dtype).eps / 2
        for name, result in conv.run(direction, "winograd").items():
            error = (result.double() - conv.exact[name]).abs()
            bound = n / (1 - n) * magnitude[name]
            assert (error <= bound).all(), f"{name} is off by {(error / bound).max()} of the bound"


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_same_bits_for_any_thread_count(case, direction):
    for layout in ("nchw", "nhwc"):
        conv = Conv(case, torch.float32, layout)
        runs = [conv.run(direction, "winograd", threads) for threads in (1, 2, 3, 7)]
        for other in runs[1:]:
            for name, result in runs[0].items():
                assert torch.equal(result, other[name]), name


def test_workspace_does_not_grow_with_the_batch_or_the_image():
    def workspace(channels, n, size):
        x, w = (n, channels, size, size), (channels, channels, 3, 3)
        shape = _C.Conv2dShape(x, w, (1, 1), (1,) * 4, (1, 1), 1)
        return [
            _C.conv2d_workspace_bytes(d, _C.DTYPES["float32"], shape, 2, "winograd")
            for d in DIRECTIONS
        ]

    for channels in (16, 256, 512, 2048, 4096):
        filters = 36 * channels * channels * 4
        for n, size in ((1, 7), (8, 56), (64, 56), (1000, 224), (1, 100_000)):
            assert max(workspace(channels, n, size)) <= (64 << 20) + 2 * filters, (n, size)


def test_flags_leave_it_out():
    x, w = torch.randn(2, 64, 28, 28), torch.randn(64, 64, 3, 3)
    assert fastconv.explain(x, w, padding=1)["forward"].startswith("winograd")
    with fastconv.flags(winograd=False):
        assert not fastconv.explain(x, w, padding=1)["forward"].startswith("winograd")
        direct = fastconv.functional.conv2d(x, w, padding=1)
    assert fastconv.explain(x, w, padding=1)["forward"].startswith("winograd")
    winograd = fastconv.functional.conv2d(x, w, padding=1)
    assert not torch.equal(direct, winograd)
    torch.testing.assert_close(direct, winograd, rtol=1e-4, atol=1e-3)
    with pytest.raises(ValueError, match="no path"):
        with fastconv.flags(disabled_paths={"reference"}):
            pass
