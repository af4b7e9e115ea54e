"""Where Winograd's time goes: stages add up to no more than there was."""

import time

import pytest
from cases import ConvCase
from raw_kernels import supporting

from benchmarks.harness import problems
from benchmarks.report.tables import DIRECTIONS
from benchmarks.studies import winograd_stages
from fastconv import _debug
from fastconv.core.extension import _C

CASE = ConvCase("small", 3, 20, 30, 34, 40, 3, 3, padding=(1, 1, 1, 1))


def shape(case: ConvCase):
    return _C.Conv2dShape(case.input_size, case.weight_size, case.stride, case.padding,
                          case.dilation, case.groups)  # fmt: skip


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_stages_fill_the_time_of_the_threads_at_most(direction, threads):
    for case in (CASE, CASE._replace(N=1, IC=256, OC=300, IH=6, IW=6)):
        start = time.perf_counter()
        spent = _debug.winograd_stages(direction, _C.DTYPES["float64"], shape(case), threads, 2)
        whole = time.perf_counter() - start
        assert set(spent) == set(winograd_stages.STAGES)
        assert all(seconds > 0 for seconds in spent.values())
        assert sum(spent.values()) <= threads * whole


def test_what_is_refused():
    with pytest.raises(ValueError, match="no direction is named 'sideways'"):
        _debug.winograd_stages("sideways", _C.DTYPES["float32"], shape(CASE), 1, 1)
    with pytest.raises(ValueError, match="rounds"):
        _debug.winograd_stages("forward", _C.DTYPES["float32"], shape(CASE), 1, 0)
    with pytest.raises(ValueError, match="does not support"):
        _debug.winograd_stages(
            "forward", _C.DTYPES["float32"], shape(CASE._replace(stride=(2, 2))), 1, 1
        )


def test_operations_of_the_product():
    case = ConvCase("one tile", 1, 2, 6, 6, 5, 3, 3)  # 4 x 4 outputs; 6 x 6 gradients: 4 tiles
    assert problems.product_flop(case, "forward") == 2 * 36 * 2 * 5
    assert problems.product_flop(case, "backward_weight") == 2 * 36 * 2 * 5
    assert problems.product_flop(case, "backward_input") == 4 * 2 * 36 * 2 * 5


def test_a_row_of_the_page():
    row = winograd_stages.measure(CASE, "forward", 1, 0.01, None)
    assert sum(row.shares.values()) == pytest.approx(1)
    # Share of the product times the whole is the product's time.
    seconds = row.milliseconds / 1e3 * row.shares["product"]
    assert row.rate * seconds == pytest.approx(problems.product_flop(CASE, "forward"))
    assert " not measured |" in winograd_stages.table([row])
    text = winograd_stages.table([row._replace(peak=2 * row.rate)])
    assert "| small" in text and " 50% |" in text


def test_the_peak_is_the_higher_of_both_sides():
    peaks = iter([100e9, 125e9])
    assert winograd_stages.measure(CASE, "forward", 1, 0.01, lambda: next(peaks)).peak == 125e9


def test_the_page(monkeypatch, tmp_path):
    monkeypatch.setattr(winograd_stages, "pin", lambda threads: None)
    monkeypatch.setattr(winograd_stages, "layers", lambda: [CASE])
    monkeypatch.setattr(winograd_stages, "SECONDS", 0.01)
    monkeypatch.setattr(winograd_stages.roofline, "fma_meter", lambda threads: None)
    winograd_stages.main(["--threads", "1", "--out", str(tmp_path)])
    (page,) = tmp_path.glob("winograd_stages-*.md")
    text = page.read_text()
    assert text.count("| small") == text.count("not measured") == len(DIRECTIONS)
    assert "`python -m benchmarks.studies.winograd_stages`, 1 thread, cpu " in text


def test_layers_are_those_of_winograd():
    chosen = winograd_stages.layers()
    assert {c.name.split(".")[0] for c in chosen} == {"vgg16", "resnet18"}
    assert all("winograd" in supporting("forward", shape(c)) for c in chosen)
