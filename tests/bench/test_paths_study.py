"""The choice between paths: the estimates that choose, the random layers that judge them, the fit
of their constants, and the study's page.
"""

import json
import math
import random

import pytest
from cases import CONV_CASES, ConvCase
from raw_kernels import DIRECTIONS

from benchmarks.harness import costs, grid, machine, stages
from benchmarks.report import choices
from benchmarks.studies import paths
from fastconv.core.extension import _C

FLOAT32 = _C.DTYPES["float32"]
CERTAIN = {"tiny", "depthwise", "grouped"}  # paths without an estimate: their conditions decide


def shape_of(case: ConvCase, channels_last: bool) -> "_C.Conv2dShape":
    sizes = case.input_size, case.weight_size
    geometry = case.stride, case.padding, case.dilation, case.groups
    return _C.Conv2dShape(*sizes, *geometry, *3 * (channels_last,))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_least_estimate_runs(direction, channels_last):
    compared = 0
    for case in CONV_CASES:
        shape = shape_of(case, channels_last)
        answers = _C.conv2d_explain(direction, FLOAT32, shape)
        (path,) = [a for a in answers if a.chosen]
        assert path.supported and not path.why_not, case.name
        if path.nanoseconds is None:
            assert path.name in CERTAIN
            continue
        runs = [a for a in answers if a.nanoseconds is not None and not a.why_not]
        assert all(math.isfinite(a.nanoseconds) and a.nanoseconds >= 0 for a in runs), case.name
        assert path.nanoseconds == min(a.nanoseconds for a in runs)
        compared += len(runs) > 2
    assert compared > 10


def test_parts_of_an_estimate_are_its_sum():
    shape = shape_of(next(c for c in CONV_CASES if c.name == "bands of several rows"), False)
    for answer in _C.conv2d_explain("backward_weight", FLOAT32, shape):
        if answer.parts:
            total = sum(times * nanoseconds for _, times, nanoseconds in answer.parts)
            assert answer.nanoseconds == pytest.approx(total)


def test_layers_of_every_kind_that_were_not_fitted_to():
    fitted, judged = (grid.layers(seed, paths.OF_EACH[seed]) for seed in (grid.FITTED, grid.JUDGED))
    assert {kind for kind, _ in judged} == set(grid.KINDS)
    assert not {case for _, case in fitted} & {case for _, case in judged}
    jobs = paths.jobs_of(grid.JUDGED, paths.OF_EACH[grid.JUDGED], 1, True)
    assert len(jobs) >= 600 and len({json.dumps(job) for job in jobs}) == len(jobs)
    assert grid.layers(grid.JUDGED, 3) == grid.layers(grid.JUDGED, 3)
    assert any(case.N == 1 for _, case in judged)


def test_the_fit_finds_constants():
    chance, rows = random.Random(0), []
    truth = {"gemm": {"slot": 0.5, "copy": 3.0}, "direct": {"slot": 0.7, "call": 200.0}}
    for _ in range(60):
        parts = {path: {work: chance.uniform(10, 1e4) for work in works}
                 for path, works in truth.items()}  # fmt: skip
        seconds = {path: 1e-9 * sum(truth[path][work] * times for work, times in found.items())
                   for path, found in parts.items()}  # fmt: skip
        rows.append({"parts": parts, "seconds": seconds, "ratios": dict.fromkeys(parts, 1.0)})
    found = costs.fitted(rows)
    for path, works in truth.items():
        assert found[path] == pytest.approx(works, rel=1e-3)
    assert '    {"copy", 3},' in costs.told(found)


def row(ratio: float, chosen: str = "gemm") -> dict:
    return {"of": "1x1", "shape": "a layer", "direction": "forward", "dtype": "float32",
            "channels_last": False, "chosen": chosen, "seconds": {"gemm": 0.002, "direct": 0.001},
            "ratios": {"gemm": ratio, "direct": 1.0}, "estimates": {"gemm": 0.003}}  # fmt: skip


def test_a_choice_is_wrong_beyond_a_tenth():
    rows = [row(1.05), row(3.0), row(1.5), row(9.0, "direct")]
    assert [choices.lost(r) for r in choices.wrong(rows)] == [3.0, 1.5]
    assert choices.summary(rows).startswith("4 cells: 2 choices (50.0%)")
    assert choices.wrong_choices([row(1.0)]) == "None."
    assert "direct 1 (0), gemm 2 (3)" in choices.wrong_choices(rows)


def test_the_median_of_the_passes_counts():
    passes = [row(ratio) | {"rounds": 3} for ratio in (1.0, 9.0, 1.2)]
    passes[1]["seconds"]["direct"] = 7.0
    found = paths.merged([*passes, {"rounds": 1}])
    assert found["ratios"] == {"gemm": 1.2, "direct": 1.0} and found["rounds"] == 9
    assert found["seconds"] == {"gemm": 0.002, "direct": 0.001}
    assert paths.merged([{"of": "1x1"}]) == {}


def test_the_study_measures_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(machine, "pin", lambda threads: None)
    monkeypatch.setattr(paths, "JOURNALS", tmp_path)
    monkeypatch.setattr(grid, "KINDS", {kind: grid.KINDS[kind] for kind in ("1x1", "3x3")})
    monkeypatch.setattr(grid, "MOST_FLOP", 4e6)
    options = [
        "--of-each",
        "1",
        "--passes",
        "2",
        "--cpu-time",
        "--minutes",
        "0.2",
        "--journal",
        "test",
    ]
    where = ["--out", str(tmp_path), "--pictures", str(tmp_path)]
    paths.main([*options, *where])
    (page,) = tmp_path.glob("paths-*.md")
    cells = json.loads(page.with_suffix(".json").read_text())["rows"]
    assert {cell["of"] for cell in cells} == {"1x1", "3x3"}
    assert all(min(cell["ratios"].values()) == 1 and cell["chosen"] in cell["ratios"]
               for cell in cells)  # fmt: skip
    assert (tmp_path / "paths.png").stat().st_size > 3_000
    measured = len((tmp_path / "paths-test-3-1-cpu.jsonl").read_text().splitlines())
    monkeypatch.setattr(paths, "measure_cell", lambda job, seconds: pytest.fail("again"))
    paths.main([*options, *where])
    assert len((tmp_path / "paths-test-3-1-cpu.jsonl").read_text().splitlines()) == measured
    assert "choices" in page.read_text() and stages.JOURNALS != tmp_path
