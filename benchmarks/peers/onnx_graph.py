"""A layer as an ONNX model of one node with constant weights, for ONNX Runtime and OpenVINO."""

import onnx
import torch
from onnx import helper, numpy_helper

from benchmarks.harness.problems import ConvProblem
from benchmarks.peers.contender import Problem, Unavailable


def graph(problem: Problem, direction: str) -> bytes:
    """The serialised model: x (N, IC, IH, IW) -> y.

    Raises:
        Unavailable: another direction than forward, another type than float32, or no such node.
    """
    if direction != "forward":
        raise Unavailable("inference only")
    if problem.dtype is not torch.float32:
        raise Unavailable("float32 only")
    weights, case = [], problem.case
    if isinstance(problem, ConvProblem):
        weights = [
            numpy_helper.from_array(problem.w.numpy(), "w"),
            numpy_helper.from_array(problem.bias.numpy(), "bias"),
        ]
        node = helper.make_node(
            "Conv", ["x", "w", "bias"], ["y"], kernel_shape=[case.KH, case.KW],
            strides=case.stride, pads=[*problem.pad, *problem.pad], dilations=case.dilation,
            group=case.groups,
        )  # fmt: skip
    else:
        node = _pool_node(problem)
    sizes = {"x": problem.x.shape, "y": problem.grad_y.shape}
    x, y = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in sizes.items())
    made = helper.make_graph([node], "layer", [x], [y], weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def _pool_node(problem: Problem) -> onnx.NodeProto:
    case = problem.case
    if problem.kind == "adaptive_avg_pool2d":
        if case.output != (1, 1):
            raise Unavailable("adaptive pooling to 1x1 only")
        return helper.make_node("GlobalAveragePool", ["x"], ["y"])
    given = {
        "kernel_shape": case.kernel,
        "strides": case.stride,
        "pads": [*case.padding, *case.padding],
        "ceil_mode": int(case.ceil_mode),
    }
    if problem.kind == "max_pool2d":
        return helper.make_node("MaxPool", ["x"], ["y"], dilations=case.dilation, **given)
    if case.divisor_override is not None:
        raise Unavailable("no divisor_override")
    include = int(case.count_include_pad)
    return helper.make_node("AveragePool", ["x"], ["y"], count_include_pad=include, **given)
