"""How the benchmarks measure: roofline, cases, jobs, workers."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest
import torch
from bench_jobs import PEAKS, TINY, job_of
from cases import CONV_CASES, ConvCase, PoolCase

from benchmarks import studies
from benchmarks.harness import cases as bench_cases
from benchmarks.harness import (
    layer_row,
    machine,
    net_calls,
    nets,
    overhead,
    plan,
    problems,
    results,
    roofline,
    stages,
    worker,
)
from benchmarks.harness.net_layers import NETS, layers_of, net_layers
from benchmarks.studies import overhead as study

# ---- roofline ------------------------------------------------------------------------------------


def test_roofline_takes_the_slower_of_the_two_bounds():
    seconds, bound = roofline.least_seconds(1e9, 4e6, "float32", PEAKS)
    assert (seconds, bound) == (pytest.approx(1e9 / 1e11), "compute")
    seconds, bound = roofline.least_seconds(1e6, 2**28, "float32", PEAKS)
    assert (seconds, bound) == (pytest.approx(2**28 / 1e10), "memory")
    assert roofline.least_seconds(1e6, 100, "bfloat16", PEAKS) is None


def test_bandwidth_is_that_of_copies_as_large():
    assert roofline.bandwidth(PEAKS["copy"], 2**14) == 4e10
    assert roofline.bandwidth(PEAKS["copy"], 2**21) == 2e10
    assert roofline.bandwidth(PEAKS["copy"], 2**40) == 1e10


def test_flop_counts_products_with_real_pixels():
    """By the gradient of a convolution of ones with ones: each output counts its products."""
    for case in (c for c in CONV_CASES if c.IC and c.N and c.padding[0::2] == c.padding[1::2]):
        x, w = torch.ones(case.input_size), torch.ones(case.weight_size)
        pad = case.padding[0::2]
        y = torch.nn.functional.conv2d(x, w, None, case.stride, pad, case.dilation, case.groups)
        assert problems.of(case, torch.float32).flop("forward") == 2 * y.sum().item(), case.name


def test_fma_peak_is_above_a_matrix_product(tmp_path):
    try:
        library = roofline._fma_library(str(tmp_path))
    except OSError as error:
        pytest.skip(str(error))
    assert roofline._fma_rate(library, "float32", 1) > 1e9
    assert library.flop_float32() == 2 * library.flop_float64()


# ---- cases ---------------------------------------------------------------------------------------


def test_no_layer_is_measured_twice_and_none_is_missing():
    distinct = net_layers()
    assert len({(type(c), *c[1:]) for c in distinct}) == len(distinct)
    named = {name for same in distinct.values() for name in same}
    for net, extent in NETS:
        assert {case.name for case in layers_of(net, extent)} <= named
    names = [case.name for case in bench_cases.all_cases()]
    assert len(set(names)) == len(names)


def test_layers_are_those_of_the_nets():
    expected = ConvCase("lenet5.conv2", 1, 6, 14, 14, 16, 5, 5)
    pool = PoolCase("resnet18.maxpool", 1, 64, 112, 112, (3, 3), (2, 2), (1, 1))
    assert expected in layers_of("lenet5", 32) and pool in layers_of("resnet18", 224)
    assert sum(isinstance(c, ConvCase) for c in layers_of("vgg16", 224)) == 13
    assert sum(isinstance(c, ConvCase) for c in layers_of("resnet50", 224)) == 53
    small = [c.output_size[2:] for c in layers_of("resnet18", 32) if isinstance(c, ConvCase)]
    assert (2, 2) in small and (1, 1) in small


def test_home_batches():
    by_name = {case.name: case for case in bench_cases.all_cases()}
    assert by_name["lenet5.conv1"].N == by_name["vgg16@32.conv11"].N == 64
    assert by_name["resnet18.conv1"].N == 8 and by_name["vgg16.conv2"].N == 4


def test_select_refuses_what_matches_nothing():
    assert [c.name for c in bench_cases.select(["lenet5.conv*"])] == [
        "lenet5.conv1",
        "lenet5.conv2",
    ]
    with pytest.raises(ValueError, match="no case matches 'lenet6"):
        bench_cases.select(["lenet6*"])


def test_jobs_survive_json():
    for stage in plan.full(2):
        for job in json.loads(json.dumps(stage.jobs)):
            if job["kind"] == "layer":
                case = layer_row.unpacked(job["case"])
                assert json.loads(json.dumps(layer_row.packed(case))) == job["case"]
        assert len({plan.job_id(job) for job in stage.jobs}) == len(stage.jobs)


# ---- nets ----------------------------------------------------------------------------------------


def test_shares_count_nested_operators_once():
    class Event:
        def __init__(self, name, total, parent=None):
            self.name, self.cpu_time_total, self.cpu_parent = name, total, parent

    outer = Event("aten::conv2d", 10)
    helper = Event("aten::resize_", 4, outer)
    events = [outer, helper, Event("aten::mkldnn_convolution", 8, helper),
              Event("MaxPool2DBackward0", 3), Event("aten::add", 5)]  # fmt: skip
    assert nets.sums_by_kind(events) == {"conv": 10, "pool": 3}


def test_dear_steps_are_left_out():
    stage = plan.net_jobs(plan.Stage("nets", 2, "default", 1, []), [("vgg16", 224)], (1, 64))
    assert {(job["mode"], job["batch"]) for job in stage.jobs} == {
        ("training", 1),
        ("inference", 1),
    }


def test_dearest_nets_come_first():
    stage = plan.net_jobs(plan.Stage("nets", 2, "default", 1, []), bench_cases.NETS, (1, 16))
    steps = [
        plan.step_flop(job["net"], job["extent"], job["batch"], job["mode"])
        for job in plan.dearest_first(stage.jobs)
    ]
    assert steps == sorted(steps, reverse=True)
    assert len(steps) == len(stage.jobs)


def test_a_net_is_measured_without_a_peer_that_dies(monkeypatch):
    def times(job, seconds, errors):
        if "openvino" in job["peers"]:
            return {"died": "the process ended with status -11"}
        return {"contenders": {}, "absent": {}}

    monkeypatch.setattr(nets, "_forked", lambda function: function())
    monkeypatch.setattr(nets, "_times", times)
    told = nets._times_of_survivors({"peers": ["eager", "openvino"]}, 1, {})
    assert told["absent"] == {"openvino": "beside openvino the process ended with status -11"}
    assert nets._times_of_survivors({"peers": ["eager"]}, 1, {})["absent"] == {}


def test_weights_of_nets_are_filled_alike():
    job = {"net": "resnet18", "extent": 32, "batch": 2, "mode": "inference"}
    (ours, x), (torchs, same_x) = (net_calls.net(job, layers) for layers in ("fastconv", "eager"))
    assert torch.equal(x, same_x)
    for name, t in ours.state_dict().items():
        assert torch.equal(t, torchs.state_dict()[name]), name
    # He: variance 2 / 1152, of 294,912 normal numbers; the estimate's own error is 1 in 768
    w = ours.state_dict()["layer2.1.conv1.weight"]
    assert w.var().item() == pytest.approx(2 / 1152, rel=0.01)
    assert ours(x).isfinite().all()


# ---- overhead ------------------------------------------------------------------------------------


def test_the_page_of_overhead(monkeypatch, tmp_path):
    rows = [row for row in overhead._rows() if row[1] in ("kernel and binding", "module")][:2]
    monkeypatch.setattr(overhead, "_rows", lambda: rows)
    monkeypatch.setattr(study, "pin", lambda threads: None)
    study.main(["--out", str(tmp_path)])
    (page,) = tmp_path.glob("overhead-*.md")
    text = page.read_text()
    assert "`python -m benchmarks.studies.overhead`, 1 thread, cpu " in text
    alone, beside = ([cell.strip() for cell in line.split("|")[1:-1]]
                     for line in text.splitlines() if line.startswith("| conv2d"))  # fmt: skip
    assert float(alone[2]) > 0 and alone[3:5] == ["", ""]  # torch has no such layer
    ratio, low, high = re.fullmatch(r"([\d.]+) \(([\d.]+) - ([\d.]+)\)", beside[4]).groups()
    assert float(beside[3]) > 0 and float(low) <= float(ratio) <= float(high)


# ---- the process that measures ------------------------------------------------------------------


def test_worker_keeps_finished_rows_and_stops_in_time(tmp_path):
    jobs = [job_of(case, "forward") for case in TINY[:3]]
    path = tmp_path / "journal.jsonl"

    def measure(job, seconds):
        if job is jobs[1]:
            raise ValueError("no")
        if job is jobs[2]:
            raise KeyboardInterrupt
        return {"case": job["case"][1]}

    with pytest.raises(KeyboardInterrupt):
        worker.run_jobs(jobs, measure, path, 10)
    rows, _ = results.read_journal(path)
    assert list(rows) == [plan.job_id(job) for job in jobs[:2]]
    assert rows[plan.job_id(jobs[1])]["left_out"] == "ValueError: no"
    worker.run_jobs(jobs, measure, path, -1)
    assert results.read_journal(path)[0] == rows


# ---- commands ------------------------------------------------------------------------------------

STUDIES = sorted(p.stem for p in Path(studies.__file__).parent.glob("[!_]*.py"))
COMMANDS = ("bench", "compare", "layer", "report", *(f"studies.{name}" for name in STUDIES))


@pytest.mark.parametrize(
    "name", ["bench", "compare", "layer", "report", *(f"studies.{n}" for n in STUDIES)]
)
def test_commands_explain_themselves(name, capsys):
    command = "report.readme" if name == "report" else name
    with pytest.raises(SystemExit, match="^0$"):
        import_module(f"benchmarks.{command}").main(["--help"])
    assert capsys.readouterr().out.startswith(f"usage: benchmarks.{name} ")


def test_an_older_tree_runs_its_own_worker(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    assert stages.worker_of(tmp_path) == "benchmarks.worker"
    assert stages.worker_of(machine.ROOT) == worker.__spec__.name
