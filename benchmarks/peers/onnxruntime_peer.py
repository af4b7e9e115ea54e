"""The peer ONNX Runtime: inference on its CPU provider, a new output from every call."""

from collections.abc import Callable

import numpy as np
import onnxruntime
import torch

from benchmarks.harness.timing import Call
from benchmarks.peers.contender import Contender, Problem
from benchmarks.peers.onnx_graph import graph


def runner(model: bytes, x: np.ndarray) -> Callable[[], list[np.ndarray]]:
    """A call that runs an ONNX model on its input x (N, IC, IH, IW)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


def contender(problem: Problem, direction: str) -> Contender:
    run = runner(graph(problem, direction), problem.x.numpy())
    return Contender(Call(run, "onnxruntime"), lambda result: (torch.from_numpy(result[0]),))
