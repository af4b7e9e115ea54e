"""fastconv.explain of models, FASTCONV_VERBOSE, and fastconv.flags with paths by name."""

import os
import re
import subprocess
import sys
import threading

import pytest
import torch
from raw_kernels import DIRECTIONS
from torch import nn

import fastconv
from fastconv.cli import main
from fastconv.core.extension import _C


class Odd(nn.Module):
    """A layer of each kind: Winograd's, direct, tiny, pools, and some that stay torch's."""

    def __init__(self):
        super().__init__()
        self.first = fastconv.Conv2d(3, 32, 3, padding=1)
        self.block = nn.Sequential(fastconv.Conv2d(32, 32, 3, padding=1), fastconv.MaxPool2d(2))
        self.strided = fastconv.Conv2d(32, 8, 3, stride=2, groups=2)
        self.small = fastconv.Conv2d(8, 1, 1)
        self.pool = fastconv.AdaptiveAvgPool2d(2)
        self.torchs = nn.Conv2d(1, 2, 1)

    def forward(self, x):
        x = self.strided(self.block(self.first(x)))
        return self.torchs(self.pool(self.small(x)))


def rows_of(explanation, layer):
    return [row for row in explanation.rows if row.layer == layer]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_every_layer_and_direction_has_a_row_with_its_reason(memory_format):
    model = Odd().train()
    x = torch.randn(2, 3, 20, 20).contiguous(memory_format=memory_format)
    found = fastconv.explain(model, x)
    assert model.training and all(m.training for m in model.modules())
    assert [r.direction for r in rows_of(found, "block.0")] == list(DIRECTIONS)
    assert {r.path for r in rows_of(found, "block.0")} == {"winograd"}
    first = rows_of(found, "first")
    for row in first:  # estimates, the least first
        compared = re.findall(r"(\S+) ([\d.e-]+) ms", row.why)
        assert compared[0][0] == row.path and {"winograd", "direct"} <= set(dict(compared))
        assert [float(ms) for _, ms in compared] == sorted(float(ms) for _, ms in compared)
    assert first[0].multiply_adds == 2 * 32 * 20 * 20 * 27 and first[0].workspace > 0
    assert first[0].shape.startswith("2x3x20x20 -> 32x20x20, 3x3, padding 1")
    assert "the stride is not 1" in rows_of(found, "strided")[0].why
    assert {r.path for r in rows_of(found, "small")} == {"tiny"}
    assert [r.direction for r in rows_of(found, "pool")] == ["forward", "backward"]
    (left,) = rows_of(found, "torchs")
    assert left.path == "torch" and "convert" in left.why
    table = str(found).splitlines()
    assert len(table) == len(found.rows) + 2 and "multiply-adds" in table[0]
    assert found.as_dicts()[0]["layer"] == "first" and found.as_dicts()[0]["ratio"] is None


def test_a_type_without_kernels_is_said_in_words():
    (row,) = fastconv.explain(fastconv.MaxPool2d(2), torch.ones(1, 1, 4, 4).int()).rows
    assert row.path == "torch" and "one without kernels" in row.why


def test_a_disabled_path_is_the_reason():
    conv, x = fastconv.Conv2d(16, 16, 3), torch.randn(1, 16, 8, 8)
    with fastconv.flags(disabled_paths={"winograd"}):
        (row, *_) = fastconv.explain(conv, x).rows
    assert row.path in ("gemm", "direct", "grouped") and "not winograd: it is disabled" in row.why


def test_measured_rows_have_times_beside_torchs():
    model = nn.Sequential(fastconv.Conv2d(4, 8, (3, 2), padding="same"), fastconv.MaxPool2d(2),
                          fastconv.AvgPool2d(2), fastconv.AdaptiveAvgPool2d(1))  # fmt: skip
    seen = []
    found = fastconv.explain(
        model,
        torch.randn(1, 4, 9, 10),
        measure=True,
        progress=lambda rows: seen.extend(rows) or seen,
    )
    assert len(seen) == len(found.rows) == 3 + 2 + 2 + 2
    for row in found.rows:
        assert row.seconds > 0 and row.torch_seconds > 0 and 0 < row.roofline <= 1
        assert row.ratio == row.torch_seconds / row.seconds
    assert "torch / ours" in str(found).splitlines()[0]


def test_the_arguments_of_a_call_are_explained_as_before():
    x, w = torch.randn(2, 64, 28, 28), torch.randn(64, 64, 3, 3)
    said = fastconv.explain(x, w, padding=1)
    assert list(said) == list(DIRECTIONS) and said["forward"].startswith("winograd, ")
    with pytest.raises(TypeError, match="padding"):
        fastconv.explain(nn.Identity(), x, padding=1)


def test_the_command_prints_the_table_and_draws(tmp_path, capsys):
    picture = tmp_path / "lenet5.png"
    assert main(["explain", "lenet5", "--batch", "2", "--picture", str(picture)]) == 0
    assert "max_pool2d" in capsys.readouterr().out and picture.stat().st_size > 5000


def test_verbose_prints_a_line_per_call():
    code = (
        "import fastconv, torch\n"
        "x = torch.randn(1, 4, 9, 9, requires_grad=True)\n"
        "y = fastconv.functional.conv2d(x, torch.randn(4, 4, 3, 3), padding=1)\n"
        "fastconv.functional.max_pool2d(y, 2).sum().backward()\n"
    )
    env = os.environ | {"FASTCONV_VERBOSE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert [line.split(" ")[1:3] for line in lines] == [
        ["conv2d", "forward"],
        ["max_pool2d", "forward"],
        ["max_pool2d", "backward"],
        ["conv2d", "backward_input"],
    ]
    layer = "fastconv conv2d forward float32 1x4x9x9 -> 4x9x9, 3x3, padding 1: "
    assert re.match(re.escape(layer) + r"(grouped|direct|gemm), estimated: ", lines[0])
    assert all(line.endswith(" ms") for line in lines)
    assert " gemm 0.0" in lines[0]
    assert "estimated" not in lines[1]
    quiet = subprocess.run(
        [sys.executable, "-c", code], env=env | {"FASTCONV_VERBOSE": "0"}, capture_output=True
    )
    assert quiet.stderr == b""


def winograd_is_on() -> bool:
    return not _C.conv2d_path_is_disabled("winograd")


def test_flags_undo_what_they_asked_for_and_nothing_else():
    with fastconv.flags(winograd=False):
        with fastconv.flags(filter_cache=False), fastconv.flags(winograd=True):
            assert winograd_is_on() and _C.filter_cache_bound() == 0
        assert not winograd_is_on() and _C.filter_cache_bound() > 0
    assert winograd_is_on()

    @fastconv.flags(disabled_paths={"winograd", "direct"})
    def call(depth=1):
        assert not winograd_is_on() and _C.conv2d_path_is_disabled("direct")
        return depth and call(depth - 1)

    call()
    assert winograd_is_on() and not _C.conv2d_path_is_disabled("direct")
    for wrong in ("reference", "no such path"):
        with (
            pytest.raises(ValueError, match=f"no path that can be disabled is named '{wrong}'"),
            fastconv.flags(disabled_paths={"winograd", wrong}),
        ):
            pass
    assert winograd_is_on()
    with pytest.raises(TypeError, match="collection"):
        fastconv.flags(disabled_paths="winograd")


def test_overlapping_blocks_of_two_threads_leave_nothing_off():
    entered, left = threading.Event(), threading.Event()

    def other():
        with fastconv.flags(winograd=False):
            entered.set()
            left.wait(10)

    thread = threading.Thread(target=other)
    with fastconv.flags(winograd=False):
        thread.start()
        assert entered.wait(10)
    assert not winograd_is_on()  # the other block has not ended
    left.set()
    thread.join()
    assert winograd_is_on()


@pytest.mark.parametrize("off", [{"tiny"}, {"winograd"}, {"tiny", "winograd", "direct"}])
def test_results_stay_right_whatever_is_disabled(off):
    x, w = torch.randn(1, 16, 6, 6), torch.randn(16, 16, 3, 3)
    with fastconv.flags(disabled_paths=off):
        y = fastconv.functional.conv2d(x, w)
        said = fastconv.explain(x, w)["forward"]
    assert said.split(",")[0] not in off
    torch.testing.assert_close(y, torch.nn.functional.conv2d(x, w), rtol=1e-5, atol=1e-4)


def test_transposed_convolutions_are_rows_in_the_directions_of_the_layer():
    layer = fastconv.ConvTranspose2d(8, 4, 3, stride=2)
    for measure in (False, True):
        rows = fastconv.explain(layer, torch.randn(1, 8, 6, 6), measure=measure).rows
        assert [row.operator for row in rows] == ["conv_transpose2d"] * 3
        assert [row.direction for row in rows] == ["forward", "backward_input", "backward_weight"]
        assert len({row.multiply_adds for row in rows}) == 1
    assert all(row.ratio > 0 for row in rows)
