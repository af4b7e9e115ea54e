"""The peer JAX: XLA on the CPU, NCHW, each direction one jitted function."""

import os
from collections.abc import Callable

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
import torch
from jax import lax

from benchmarks.harness.problems import ConvProblem
from benchmarks.harness.timing import Call
from benchmarks.peers.contender import Contender, Problem, Unavailable


def _operation(problem: Problem) -> tuple[Callable, list[torch.Tensor]]:
    """The forward function and its operands."""
    case = problem.case
    if isinstance(problem, ConvProblem):
        pads = [(p, p) for p in problem.pad]

        def conv2d(x, w, bias):
            y = lax.conv_general_dilated(
                x, w, case.stride, pads, rhs_dilation=case.dilation,
                dimension_numbers=("NCHW", "OIHW", "NCHW"), feature_group_count=case.groups,
            )  # fmt: skip
            return y + bias[None, :, None, None]

        return conv2d, [problem.x, problem.w, problem.bias]
    if problem.kind == "adaptive_avg_pool2d":
        if case.output != (1, 1):
            raise Unavailable("adaptive pooling to 1x1 only")
        return lambda x: x.mean((2, 3), keepdims=True), [problem.x]
    if case.ceil_mode or (case.average and not case.count_include_pad):
        raise Unavailable("no ceil_mode, and padding always counts")
    window, stride = (1, 1, *case.kernel), (1, 1, *case.stride)
    pads = ((0, 0), (0, 0), *((p, p) for p in case.padding))
    if problem.kind == "max_pool2d":
        return lambda x: lax.reduce_window(x, -np.inf, lax.max, window, stride, pads), [problem.x]
    area = case.divisor_override or case.kernel[0] * case.kernel[1]
    return lambda x: lax.reduce_window(x, 0.0, lax.add, window, stride, pads) / area, [problem.x]


def contender(problem: Problem, direction: str) -> Contender:
    if problem.dtype is not torch.float32:
        raise Unavailable("float32 only")
    operation, operands = _operation(problem)
    given = [jax.device_put(t.numpy()) for t in operands]
    grad_y = jax.device_put(problem.grad_y.numpy())
    if direction == "forward":
        function, skipped = operation, 0
    elif direction == "autograd":  # y is part of the result, or XLA would leave it out

        def function(*given_and_grad):
            y, backward = jax.vjp(operation, *given_and_grad[:-1])
            return (y, *backward(given_and_grad[-1]))

        given, skipped = [*given, grad_y], 1
    else:
        first = 0 if direction == "backward_input" else 1

        def function(*given_and_grad):
            _, backward = jax.vjp(operation, *given_and_grad[:-1])
            gradients = backward(given_and_grad[-1])
            return gradients[:1] if first == 0 else gradients[1:]

        given, skipped = [*given, grad_y], 0
    compiled = jax.jit(function)

    def read(result: object) -> tuple[torch.Tensor, ...]:
        results = result if isinstance(result, tuple | list) else (result,)
        return tuple(torch.from_numpy(np.array(r)) for r in results[skipped:])

    return Contender(Call(lambda: jax.block_until_ready(compiled(*given)), "jax"), read)
