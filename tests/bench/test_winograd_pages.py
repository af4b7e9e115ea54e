"""The pages on Winograd: its accuracy, training steps with and without it, cached filters."""

import argparse

import pytest
import torch
from cases import ConvCase

import fastconv
from benchmarks import peers
from benchmarks.harness import cases, problems, timing
from benchmarks.report import tables
from benchmarks.report.tables import DIRECTIONS
from benchmarks.studies import accuracy, filters, rounding, steps
from fastconv import clock
from fastconv.core.extension import _C


@pytest.fixture(autouse=True)
def unpinned(monkeypatch):
    """The tools bind their process to its threads; this one has other tests to run."""
    for tool in (accuracy, filters, steps):
        monkeypatch.setattr(tool, "pin", lambda threads: None)


def test_kernels_by_path_agree():
    problem = problems.ConvProblem(cases.square("a layer", 2, 16, 8), torch.float64)
    for direction in DIRECTIONS:
        results = [peers.kernel(problem, direction, path, 1)() for path in ("winograd", "direct")]
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)
            assert one.abs().max() > 0


def test_distance_from_float64():
    exact = torch.tensor([3.0, -4.0], dtype=torch.float64)
    assert accuracy.distance(torch.tensor([3.0, -3.0]), exact) == (0.25, 0.2)


def test_accuracy_of_a_layer(tmp_path):
    case = ConvCase("a layer", 2, 16, 9, 9, 16, 3, 3, padding=(1, 1, 1, 1))
    for direction in DIRECTIONS:
        found = accuracy.errors(case, "normal + 3", direction, 1)
        assert list(found) == ["winograd", "direct", "torch"]
        assert all(0 < largest < 1e-5 and 0 < rms < 1e-5 for largest, rms in found.values())
    accuracy.main(["--channels", "16", "--threads", "1", "--out", str(tmp_path)])
    (page,) = tmp_path.glob("accuracy-*.md")
    assert page.read_text().count("| 3x3") == len(DIRECTIONS) * len(accuracy.DATA)


def test_steps_of_a_net(tmp_path):
    options = "--nets cifar_net@32:2 --minutes 0.02 --threads 1 --out".split()
    steps.main([*options, str(tmp_path)])
    (page,) = tmp_path.glob("steps-*.md")
    assert "cifar_net" in page.read_text() and "winograd=False" in page.read_text()
    assert not _C.conv2d_path_is_disabled("winograd")
    with pytest.raises(argparse.ArgumentTypeError):
        steps.job_of("no_such_net@32:2")


def test_layers_that_keep_filters_are_timed_without():
    """Some of the default layers share filters, others make them in each thread."""
    chosen = filters.grid(filters.CHANNELS, filters.MAPS, filters.BATCHES)
    kept = [filters.keeps(case) for case in chosen]
    assert any(kept) and not all(kept)
    for case, keeps in zip(chosen, kept, strict=True):
        fastconv.clear_filter_cache()
        calls = filters.calls_of(case)
        assert (filters.WITHOUT in calls) == keeps
        calls[filters.OURS].run()
        assert (_C.filter_cache_bytes() > 0) == keeps, case.name


def test_timed_calls_find_filters_or_none(monkeypatch):
    """WITHOUT drops what KEPT keeps: an untimed call before each sample makes it again."""
    calls = filters.calls_of(cases.square("a layer", 1, 32, 56))
    found, sample = [], clock._sample

    def watched(call, count, now):
        found.append((call.runtime, _C.filter_cache_bytes()))
        return sample(call, count, now)

    monkeypatch.setattr(clock, "_sample", watched)
    clock.alternate(calls, 0.05)
    rounds = found[len(calls) * clock.WARM_UPS :]
    assert rounds[0][0] == filters.WITHOUT  # the only one with no untimed call before it
    assert all((kept > 0) == (name != filters.WITHOUT) for name, kept in rounds[1:]
               if name in (filters.OURS, filters.WITHOUT))  # fmt: skip
    assert sum(name == filters.OURS for name, _ in rounds) >= clock.FEWEST_ROUNDS


def test_means_of_cached_filters():
    measured = []
    for N, slower in ((1, 2.0), (1, 8.0), (8, 3.0)):
        others = filters.OTHERS if slower > 2 else tables.TORCH
        times = {name: [slower] * 3 for name in others} | {filters.OURS: [1.0] * 3}
        measured.append((cases.square("x", N, 64, 7), timing.Measurement(times, {}, 0, False)))
    rows = [[cell.strip() for cell in line.split("|")[1:-1]]
            for line in filters.means(measured).splitlines()[2:]]  # fmt: skip
    assert rows == [["1", "8.00 (1)", *["4.00 (2)"] * 2], ["8", *["3.00 (1)"] * 3]]


def test_the_page_of_cached_filters(tmp_path):
    options = "--channels 16 32 --maps 6 --batches 1 2 --minutes 0.02 --threads 1 --out".split()
    filters.main([*options, str(tmp_path)])
    (page,) = tmp_path.glob("filters-*.md")
    text = page.read_text()
    assert text.count("| 16 channels, 6x6 |") == text.count("| 32 channels, 6x6 |") == 2
    assert "`python -m benchmarks.studies.filters`, 1 thread, cpu " in text
    assert _C.filter_cache_bound() == _C.FILTER_CACHE_BOUND


def test_rounding_of_each_step():
    """Of mean squares: a single largest error is luck."""
    rms = {step: found[1] for step, found in rounding.errors(64).items()}
    single = [rms[step] for step in ("U", "V", "M")]
    # Rounding to nearest: relative errors are at most 2^-24 each, amplified by the transforms.
    assert all(2**-26 < r < 2**-22 for r in single)
    # Independent errors: squares add, over 153,600 outputs within a percent or two.
    assert rms["U, V and M"] ** 2 == pytest.approx(sum(r**2 for r in single), rel=0.1)
    assert rms["all, sums of 64"] > rms["all, sums of 16"] > rms["U, V and M"]
    # The kernel sums 16 products at a time too; its transforms round more often.
    assert rms["all, sums of 16"] < rms["fastconv"] < rms["all, sums of 64"]
    alone = rounding.errors(1)["fastconv"][1]
    assert rms["U, V and M"] < alone < rms["fastconv"]
