"""Correctness before speed: what the benchmarks time has passed a comparison with float64."""

import math
import os

import pytest
import torch
from bench_jobs import PEAKS, TINY, job_of
from cases import ConvCase

import fastconv
from benchmarks import bench, peers
from benchmarks.harness import gate, layer_row, problems, results, roofline, timing
from benchmarks.harness.net_layers import NETS, layers_of
from fastconv import functional
from fastconv.core import ops


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", TINY, ids=lambda c: c.name)
def test_every_torch_peer_passes_the_gate(case, dtype):
    for direction in problems.of(case, torch.float32).directions:
        names = ("eager", "channels_last", "fastconv_channels_last")
        row = layer_row.measure_layer(job_of(case, direction, names, dtype), PEAKS, 0.001)
        for name in (peers.OURS, *names):
            entry = row["contenders"][name]
            assert "wrong" not in entry and "median" in entry, (direction, name)
            assert entry["error"] <= 1e-4


@pytest.mark.parametrize("direction", ["forward", "backward_input", "backward_weight"])
def test_a_wrong_kernel_is_not_timed(direction, monkeypatch):
    """One element, wrong by a thousandth of the largest."""
    right = {
        "forward": (functional, "conv2d"),
        "backward_input": (ops, "conv2d_backward_input"),
        "backward_weight": (ops, "conv2d_backward_weight"),
    }
    where, name = right[direction]
    kernel = getattr(where, name)

    def wrong(*args):
        result = kernel(*args)
        tensor = result[0] if isinstance(result, tuple) else result
        tensor.view(-1)[0] += 1e-3 * tensor.abs().max()
        return result

    monkeypatch.setattr(where, name, wrong)
    row = layer_row.measure_layer(job_of(TINY[2], direction), PEAKS, 0.001)
    assert row["contenders"][peers.OURS]["wrong"]
    assert "median" not in row["contenders"][peers.OURS] and "rounds" not in row
    assert bench.wrong_rows([row]) and not results.timed([row])


def test_winograd_passes_where_an_element_sums_few_products():
    """A corner tap of a 2x2 map meets one pixel an image; rounding is that of the whole tile."""
    case = ConvCase("corner", 8, 256, 2, 2, 256, 3, 3, padding=(1, 1, 1, 1))
    with fastconv.flags(disabled_paths={"gemm", "small-map"}):
        row = layer_row.measure_layer(job_of(case, "backward_weight"), PEAKS, 0.001)
    assert row["path"] == "winograd" and "wrong" not in row["contenders"][peers.OURS]


def test_the_gate_takes_no_nan():
    problem = problems.of(TINY[0], torch.float32)
    checks = list(problem.checks("forward"))
    nan = peers.Contender(timing.Call(lambda: torch.full_like(problem.grad_y, math.nan)))
    assert gate.error(nan, checks, 16) == (math.inf, False)


def test_samples_of_exact_results_are_parts_of_them():
    """On a layer large enough for sampling, against the whole result."""
    grouped = ConvCase("sampled", 5, 24, 8, 8, 18, 3, 3, padding=(1, 1, 1, 1), groups=3)
    for case in (grouped, grouped._replace(groups=1)):
        problem = problems.of(case, torch.float64)
        for direction in problem.directions:
            contender = peers.contender("eager", problem, direction)
            share, right = gate.error(contender, list(problem.checks(direction)), 1)
            assert right and share < 1e-12


def test_missing_peers_are_named(monkeypatch):
    def missing(*_):
        raise ModuleNotFoundError("no", name="jax")

    monkeypatch.setitem(peers.PEERS, "jax", missing)
    row = layer_row.measure_layer(job_of(TINY[0], "forward", ("eager", "jax")), PEAKS, 0.001)
    assert row["absent"] == {"jax": "not installed (jax)"}


@pytest.mark.parametrize("peer", ["onnxruntime", "openvino", "jax"])
def test_other_peers(peer):
    for package in peers.PACKAGES[peer]:
        pytest.importorskip(package)
    ran = 0
    for case in TINY:
        problem = problems.of(case, torch.float32)
        for direction in problem.directions:
            try:
                contender = peers.contender(peer, problem, direction)
            except peers.Unavailable:
                continue
            share, right = gate.error(contender, list(problem.checks(direction)), 16)
            assert right, (case.name, direction, share)
            ran += 1
    assert ran >= 6


@pytest.mark.parametrize("net", [name for name, extent in NETS if extent <= 32][:4])
def test_layers_of_small_nets_are_right(net):
    """The shared list, as the nets run it, by the gate of the benchmarks."""
    extent = dict(reversed(NETS))[net]
    for case in layers_of(net, extent):
        problem = problems.of(case._replace(N=2), torch.float32)
        for direction in problem.directions:
            contender = peers.contender(peers.OURS, problem, direction)
            assert gate.error(contender, list(problem.checks(direction)), 1)[1], case.name


@pytest.mark.skipif(roofline.answer_meter() is None, reason="no C++ compiler")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="threads take turns on one CPU")
def test_two_threads_answer_each_other():
    row = layer_row.measure_layer(job_of(TINY[0], "forward"), PEAKS, 0.001)
    assert 1e-9 < row["answer"] < 0.1  # far more than a microsecond where others take the CPU
    alone = job_of(TINY[0], "forward") | {"threads": 1}
    assert "answer" not in layer_row.measure_layer(alone, PEAKS, 0.001)
