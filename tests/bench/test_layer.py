"""python -m benchmarks.layer: a layer that a user types is read, checked and measured."""

import re

import pytest
import torch
from bench_jobs import PEAKS
from cases import AdaptiveCase, ConvCase, PoolCase

from benchmarks import layer, peers
from benchmarks.harness import cases, problems, roofline, spec
from fastconv import functional


@pytest.mark.parametrize("case", cases.all_cases(), ids=lambda c: c.name)
def test_a_shape_is_read_as_it_is_written(case):
    """Of every layer that the benchmarks know; the text tells all of them but ceil_mode."""
    text = cases.shape_text(case)
    assert spec.parse(text) == case._replace(name=text)


CONV = ConvCase("", 8, 64, 28, 28, 64, 3, 3)
POOL = PoolCase("", 8, 64, 56, 56, (3, 3), (3, 3))


@pytest.mark.parametrize(
    "text, case",
    [
        ("8x64x28x28 -> 64, 3x3", CONV),
        (" 8x64x28x28->64 ,3X3 ", CONV),
        ("8x64x28x28 -> 64, 3", CONV),
        ("8x64x28x28 -> 64, 3x3/2", CONV._replace(stride=(2, 2))),
        ("8x64x28x28 -> 64, 3x3/2x1", CONV._replace(stride=(2, 1))),
        ("8x64x28x28 -> 64, stride 1x2, 3x3", CONV._replace(stride=(1, 2))),
        ("8x64x28x28 -> 64, 3x3, padding 1x2", CONV._replace(padding=(1, 1, 2, 2))),
        ("8x64x28x28 -> 64, 3x3, dilation 2", CONV._replace(dilation=(2, 2))),
        ("8x64x28x28 -> 64, 3x3, groups 32", CONV._replace(groups=32)),
        ("8x64x28x28 -> 64, 3x3, 32 groups", CONV._replace(groups=32)),
        ("8x64x28x28 -> 64, 3x3, depthwise", CONV._replace(groups=64)),
        ("8x64x56x56, max 3x3", POOL),
        ("8x64x56x56, max 3x3/2", POOL._replace(stride=(2, 2))),
        ("8x64x56x56, max 3x3, dilation 2", POOL._replace(dilation=(2, 2))),
        (
            "8x64x56x56, average 3, stride 2, padding 1, ceil mode",
            POOL._replace(stride=(2, 2), padding=(1, 1), ceil_mode=True, average=True),
        ),
        ("8x64x56x56, average to 7", AdaptiveCase("", 8, 64, 56, 56, (7, 7))),
        ("8x64x56x56, average to 7x1", AdaptiveCase("", 8, 64, 56, 56, (7, 1))),
    ],
)
def test_a_layer_is_read(text, case):
    assert spec.parse(text)._replace(name="") == case


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "no input N x C x H x W"),
        ("64x28x28 -> 64, 3x3", '"64x28x28 -> 64" is no input'),
        ("8x64x28x28 -> 64", "the kernel, such as 3x3, is missing"),
        ("8x64x28x28, 3x3", "neither output channels"),
        ("8x64x28x28", "neither output channels"),
        ("8x64x28x28 -> 64, 3x3, pading 1", '"pading 1" is not understood'),
        ("8x64x28x28 -> 64, 3x3, padding", '"padding" is not understood'),
        ("8x64x28x28 -> 64, 3x3, padding -1", '"padding -1" is not understood'),
        ("8x64x28x28 -> 64, 3x3/", '"3x3/" is not understood'),
        ("8x64x28x28 -> 64, 3x3,", '"" is not understood'),
        ("8x64x28x28 -> 64, 3x3/2, stride 2", "stride is given twice"),
        ("8x64x28x28 -> 64, 3x3, groups 3", "3 groups do not divide 64 and 64 channels"),
        ("8x64x28x28 -> 64, 3x3, groups 0", "extents are positive"),
        ("8x64x28x28 -> 64, 3x3, depthwise, groups 2", "says the groups already"),
        ("8x64x28x28 -> 64, 3x3, stride 0", "extents are positive"),
        ("0x64x28x28 -> 64, 3x3", "extents are positive"),
        ("8x64x2x28 -> 64, 3x3", "the kernel is larger than the padded input"),
        ("8x64x28x28 -> 64, max 3x3", "a pool has no output channels"),
        ("8x64x28x28 -> 64, 3x3, ceil mode", "ceil mode does not belong to this layer"),
        ("8x64x28x28, max 3x3, groups 2", "groups does not belong to this layer"),
        ("8x64x28x28, average to 7, stride 2", "stride does not belong to this layer"),
        ("8x64x28x28, max 3x3, padding 2", "at most half its window"),
        ("8x64x2x2, max 3x3", "the window is larger than the padded input"),
        ("8x64x28x28, average 3x3, dilation 2", "average pooling has no dilation"),
        ("8x64x28x28, max 3x3, average 2x2", "is given twice"),
    ],
)
def test_what_cannot_be_read_is_told_with_an_example(text, said):
    with pytest.raises(spec.SpecError) as raised:
        spec.parse(text)
    assert said in str(raised.value) and spec.EXAMPLES[0] in str(raised.value)


def test_the_examples_are_layers():
    assert [type(spec.parse(text)) for text in spec.EXAMPLES] == [ConvCase, PoolCase, AdaptiveCase]


@pytest.fixture
def quiet_machine(monkeypatch):
    """This process keeps its CPUs, and the peaks are invented."""
    monkeypatch.setattr(layer, "pin", lambda threads: None)
    monkeypatch.setattr(roofline, "measure_peaks", lambda threads: PEAKS)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


SHORT = ["--seconds", "0.001", "--threads", "1", "--peers", "eager", "channels_last",
         "fastconv_channels_last"]  # fmt: skip


def test_a_convolution_is_measured_in_every_direction_and_layout(quiet_machine, capsys):
    assert layer.main(["1x16x8x8 -> 16, 3x3, padding 1", *SHORT]) == 0
    head, *sections = capsys.readouterr().out.split("\n\n")
    assert head == "1x16x8x8 -> 16, 3x3, padding 1; float32, 1 thread, FMA peak 100 GFLOP/s"
    products = (3 * 8 - 2) ** 2 * 16 * 16  # of rows by columns that meet a real pixel
    assert [s.splitlines()[0].removesuffix(", noisy") for s in sections] == [
        f"{d}: {(3 if d == 'autograd' else 1) * products:,} multiply-adds"
        for d in problems.CONV_DIRECTIONS
    ]
    for text, direction in zip(sections[:3], problems.CONV_DIRECTIONS, strict=False):
        _, *paths = (line for line in text.splitlines() if not line.startswith("|"))
        for line, layout in zip(paths, ("NCHW", "channels_last"), strict=True):
            told = rf"fastconv {layout}, {direction}: path \w+, workspace \d+ bytes"
            assert re.match(told, line), line
        rows = [cells(line) for line in text.splitlines() if line.startswith("|")][2:]
        assert [row[0] for row in rows] == ["fastconv NCHW", "torch NCHW", "torch channels_last",
                                            "fastconv channels_last"]  # fmt: skip
        for row in rows[1:]:
            ratio, low, high = map(float, re.findall(r"[\d.]+", row[2]))
            assert low <= ratio <= high
        assert all(float(row[3]) > 0 and row[4].endswith("%") for row in rows)


def test_the_share_of_the_peak_is_of_what_winograd_does():
    """The layer has 8 x 8 pixels: 4 tiles of 6 x 6 points for a 3x3 filter, one product each."""
    case = spec.parse("1x16x8x8 -> 16, 3x3, padding 1")
    assert problems.flop_done(case, "forward", "winograd", 0) == 2 * 4 * 36 * 16 * 16
    assert problems.flop_done(case, "forward", "direct", 7) == 7
    dilated = spec.parse("1x16x8x10 -> 16, 3x3, padding 2, dilation 2")  # 4 images of 4 x 5
    assert problems.flop_done(dilated, "forward", "dilated-winograd", 0) == 2 * 8 * 36 * 16 * 16
    problem = problems.of(case, torch.float32)
    told = layer.layer_row.explained(problem, "forward", torch.contiguous_format)["forward"]
    done = layer.operations_done(problem, "forward")[peers.OURS]
    path = told.split(",")[0]
    assert done == problems.flop_done(case, "forward", path, problem.flop("forward"))


@pytest.mark.parametrize("text", ["2x3x9x9, max 3x3/2, padding 1", "2x3x7x7, average to 1x1"])
def test_pools_are_measured(text, quiet_machine, capsys):
    assert layer.main([text, *SHORT]) == 0
    said = capsys.readouterr().out
    for direction in problems.POOL_DIRECTIONS:
        assert f"\n{direction}: " in said
    assert said.count("| torch channels_last") == said.count("| fastconv channels_last") == 3


def test_a_wrong_result_is_not_timed_and_fails(quiet_machine, capsys, monkeypatch):
    def wrong(*arguments):
        return right(*arguments) + 1

    right = functional.conv2d
    monkeypatch.setattr(functional, "conv2d", wrong)
    command = ["1x2x5x5 -> 3, 3x3", *SHORT[:4], "--directions", "forward", "--peers", "eager"]
    assert layer.main(command) == 1
    ours, torchs = (cells(line) for line in capsys.readouterr().out.splitlines()[-2:])
    assert ours[:5] == ["fastconv NCHW", "wrong result", "", "", ""]
    assert torchs[:5] == ["torch NCHW", "not timed", "", "", ""]


def test_a_missing_peer_is_named(quiet_machine, capsys, monkeypatch):
    def missing(*_):
        raise ModuleNotFoundError("no", name="jax")

    monkeypatch.setitem(peers.PEERS, "jax", missing)
    command = ["1x2x5x5 -> 3, 3x3", *SHORT[:4], "--directions", "forward", "--peers", "jax"]
    assert layer.main(command) == 0
    assert capsys.readouterr().out.endswith("Not measured: JAX: not installed (jax)\n")


def test_a_layer_that_cannot_be_read_is_a_wrong_call(capsys):
    with pytest.raises(SystemExit, match="2"):
        layer.main(["8x64x28x28 -> 64, 3x3, pading 1"])
    assert '"pading 1" is not understood. Examples: "' in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        layer.main(["8x64x28x28, max 3x3", "--directions", "backward_weight"])
    assert "this layer has no backward_weight" in capsys.readouterr().err
