"""make gpu-check as far as it goes without a GPU: its steps on the SIMT shim's device, its driver
with steps that do nothing, and what it says where something is missing."""

import importlib.util
import json
import subprocess
import sys

import pytest
import torch
from cuda_device import kernels_of_cuda
from cuda_shim import ROOT

from benchmarks.gpu import __main__ as driver
from benchmarks.gpu import bench, build, page, smoke, train
from benchmarks.gpu.rows import Rows


def test_smoke_cases_on_the_shim(tmp_path):
    file = tmp_path / "smoke.json"
    with kernels_of_cuda():
        assert smoke.main([str(file), "--device", "cpu", "--few"]) == 0
    rows = json.loads(file.read_text())
    assert len(rows) == 8 * (3 + 4) and all("largest error" in row for row in rows.values())


def test_training_on_the_shim(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "HOW", ("fastconv", "torch"))
    file = tmp_path / "train.json"
    with kernels_of_cuda() as shim:
        how = ["--device", "cpu", "--nets", "lenet5", "--steps", "1", "--batch", "1"]
        assert train.main([str(file), *how]) == 0
        assert shim.counters()["launches"] >= 12
    rows = json.loads(file.read_text())
    (ours,), (theirs,) = (rows[f"lenet5, {how}"]["losses"] for how in ("fastconv", "torch"))
    assert ours == pytest.approx(theirs, rel=1e-4)


def test_the_benchmark_measures_every_direction_and_goes_on(tmp_path, monkeypatch):
    small = [c._replace(N=1, C=2, IH=9, IW=9) for c in bench.LAYERS if "max" in c.name]
    small += [bench.depthwise(1, 2, 5, 3)]
    monkeypatch.setattr(bench, "LAYERS", small)
    monkeypatch.setattr(bench, "TYPES", {"float32": torch.float32})
    file = tmp_path / "bench.json"
    assert bench.main([str(file), "--device", "cpu", "--rounds", "1"]) == 0
    rows = json.loads(file.read_text())
    assert len(rows) == 2 * (2 + 3) and all("cudnn / fastconv" in row for row in rows.values())
    monkeypatch.setattr(bench, "measure", None)  # nothing is measured twice
    assert bench.main([str(file), "--device", "cpu"]) == 0
    assert json.loads(file.read_text()) == rows


def test_a_row_that_fails_costs_no_other_and_is_tried_again(tmp_path):
    rows = Rows(tmp_path / "rows.json")
    rows.add("a", lambda: {"x": 1 / 0})
    rows.add("b", lambda: {"x": 1})
    again = Rows(tmp_path / "rows.json")
    assert again.errors() == ["a: ZeroDivisionError: division by zero"]
    assert again.add("a", lambda: {"x": 2})["x"] == 2 and again.add("b", lambda: 1 / 0)["x"] == 1


def test_steps_go_on_where_they_ended(tmp_path):
    def say(name, code):
        return driver.Step(name, [sys.executable, "-c", code])

    steps = [
        say("smoke", "open('ran', 'a').write('s')"),
        say("train", "raise SystemExit(3)"),
        say("bench", "import time; time.sleep(60)"),
        driver.Step("sanitizer", [], "compute-sanitizer is not in PATH"),
    ]
    (tmp_path / "state.json").write_text('{"smoke": {"ended": "done", "seconds": 1.0}}')
    state = driver.run_all(steps, tmp_path, 4 / 60)
    ended = {name: s["ended"] for name, s in state.items()}
    assert ended == {"smoke": "done", "train": "failed (3)", "bench": "out of time",
                     "sanitizer": "left out: compute-sanitizer is not in PATH"}  # fmt: skip
    assert json.loads((tmp_path / "state.json").read_text()) == state
    facts = {"GPU": "none", "date": "today"}
    text = page.write(tmp_path, facts, tmp_path / "results" / "gpu")
    assert "bench out of time" in text and (tmp_path / "results" / "gpu.json").exists()


def test_the_real_steps_are_in_the_order_of_value(tmp_path):
    steps = driver.steps(tmp_path)
    assert [step.name for step in steps] == list(driver.NAMES)
    modules = [step.command[step.command.index("-m") + 1] for step in steps]
    assert all(importlib.util.find_spec(name) for name in modules)
    assert (ROOT / steps[2].command[-1]).exists()


def test_without_a_gpu_it_says_so_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert driver.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gpu-check needs ")


def test_the_build_is_for_the_gpu_or_for_what_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("FASTCONV_CUDA_ARCHS", raising=False)
    assert build.main() == 2 and "or FASTCONV_CUDA_ARCHS" in capsys.readouterr().err
    monkeypatch.setenv("FASTCONV_CUDA_ARCHS", "8.0")
    assert build.environment(tmp_path)["FASTCONV_CUDA_ARCHS"] == "8.0"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (12, 0))
    assert build.environment(tmp_path)["FASTCONV_CUDA_ARCHS"] == "12.0"


def test_the_stand_in_for_pybind11_serves_setup_py(tmp_path):
    build.write_stand_in(tmp_path)
    code = (
        "import pybind11, os;"
        "from pybind11.setup_helpers import Pybind11Extension, ParallelCompile;"
        "e = Pybind11Extension('x', ['x.cpp'], depends=[]); ParallelCompile('MAX_JOBS').install();"
        "print(os.path.exists(e.include_dirs[-1] + '/pybind11/pybind11.h'), pybind11.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.startswith(f"True {tmp_path}"), done.stderr
