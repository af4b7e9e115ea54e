"""The peer OpenVINO: inference on its CPU plugin in float32, a new output for every call."""

from collections.abc import Callable

import numpy as np
import openvino as ov
import torch

from benchmarks.harness.timing import Call
from benchmarks.peers.contender import Contender, Problem
from benchmarks.peers.onnx_graph import graph


def runner(model: bytes, x: np.ndarray) -> Callable[[], np.ndarray]:
    """A call that runs an ONNX model of fixed extents on `x` (N, IC, IH, IW)."""
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = ov.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", settings)
    request = compiled.create_infer_request()
    request.set_input_tensor(0, ov.Tensor(x, shared_memory=True))
    size = tuple(request.get_output_tensor(0).shape)

    def run() -> np.ndarray:
        y = np.empty(size, np.float32)
        request.set_output_tensor(0, ov.Tensor(y, shared_memory=True))
        request.infer()
        return y

    return run


def contender(problem: Problem, direction: str) -> Contender:
    run = runner(graph(problem, direction), problem.x.numpy())
    return Contender(Call(run, "openvino"), lambda y: (torch.from_numpy(y),))
