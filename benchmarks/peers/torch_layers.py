"""The peers whose tensors are torch's: fastconv, torch, torch.compile."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness.cases import ConvCase
from benchmarks.harness.problems import ConvProblem, PoolProblem
from benchmarks.harness.timing import Call
from benchmarks.peers.contender import Contender, Problem
from fastconv import functional
from fastconv.core import ops
from fastconv.core.extension import _C
from fastconv.core.tensors import buffer

aten = torch.ops.aten


def _of_torch(problem: Problem, direction: str, ours: bool, channels_last: bool) -> Callable:
    """The call of fastconv or of torch, on tensors that already have the memory format."""
    format_ = torch.channels_last if channels_last else torch.contiguous_format
    x, grad_y = (t.contiguous(memory_format=format_) for t in (problem.x, problem.grad_y))
    if isinstance(problem, PoolProblem):
        return _pool(problem, direction, ours, channels_last, x, grad_y)
    w = problem.w.contiguous(memory_format=format_)
    bias, args, case = problem.bias, problem.args, problem.case
    kernels = (case.stride, case.padding, case.dilation, case.groups)
    conv2d = functional.conv2d if ours else F.conv2d
    if direction == "forward":
        return lambda: conv2d(x, w, bias, *args)
    if direction == "autograd":
        leaves = tuple(t.clone().requires_grad_() for t in (x, w, bias))
        return lambda: torch.autograd.grad(conv2d(*leaves, *args), leaves, grad_y)
    if ours and direction == "backward_input":
        return lambda: ops.conv2d_backward_input(grad_y, w, x.shape, *kernels, channels_last)
    if ours:
        return lambda: ops.conv2d_backward_weight(grad_y, x, w.shape, *kernels, channels_last, True)
    into_x = direction == "backward_input"
    mask = (into_x, not into_x, not into_x)
    stride, pad, dilation, groups = args
    rest = ([case.OC], stride, pad, dilation, False, [0, 0], groups, mask)
    wanted = slice(0, 1) if into_x else slice(1, 3)
    return lambda: aten.convolution_backward(grad_y, x, w, *rest)[wanted]


def kernel_shape(case: ConvCase, channels_last: bool) -> "_C.Conv2dShape":
    """The layer as the kernels know it."""
    args = (case.stride, case.padding, case.dilation, case.groups)
    return ops.conv2d_shape(case.input_size, case.weight_size, args, *3 * (channels_last,))


def kernel(
    problem: ConvProblem, direction: str, path: str, threads: int, channels_last: bool = False
) -> Callable[[], tuple[Tensor, ...]]:
    """fastconv's kernel of that path, whichever the rule would choose.

    Every call writes the same tensors and returns them: y, or grad_x, or grad_w and grad_bias.
    """
    format_ = torch.channels_last if channels_last else torch.contiguous_format
    x, w, grad_y = (
        t.contiguous(memory_format=format_) for t in (problem.x, problem.w, problem.grad_y)
    )
    bias = problem.bias
    given, like = {
        "forward": ((x, w, bias), (grad_y,)),
        "backward_input": ((grad_y, w), (x,)),
        "backward_weight": ((grad_y, x), (w, bias)),
    }[direction]
    shape = kernel_shape(problem.case, channels_last)
    tensors = (*given, *map(torch.empty_like, like))
    buffers = [buffer(t) for t in tensors]
    compute, dtype = getattr(_C, f"conv2d_{direction}"), ops.KERNEL_DTYPES[problem.dtype]

    def run() -> tuple[Tensor, ...]:
        compute(dtype, shape, *buffers, threads, path)
        return tensors[len(given) :]

    return run


def _pool(
    problem: PoolProblem, direction: str, ours: bool, channels_last: bool, x: Tensor, grad_y: Tensor
) -> Callable:
    kind, args, size = problem.kind, problem.args, problem.x.shape
    pool = getattr(functional if ours else F, kind)
    if direction == "forward":
        return lambda: pool(x, *args)
    if direction == "autograd":
        leaf = x.clone().requires_grad_()
        return lambda: torch.autograd.grad(pool(leaf, *args), leaf, grad_y)
    if ours:
        backward = getattr(ops, f"{kind}_backward")
        if kind == "max_pool2d":
            _, codes = ops.max_pool2d(x, *args, True)
            return lambda: backward(grad_y, codes, size, *args, channels_last)
        return lambda: backward(grad_y, size, *args, channels_last)
    if kind == "max_pool2d":
        _, indices = aten.max_pool2d_with_indices(x, *args)
        return lambda: aten.max_pool2d_with_indices_backward(grad_y, x, *args, indices)
    if kind == "avg_pool2d":
        return lambda: aten.avg_pool2d_backward(grad_y, x, *args)
    if args[0] == (1, 1):  # torch takes the mean instead, and has no kernel for its gradient
        area = x.shape[2] * x.shape[3]
        return lambda: (grad_y.expand(size) / area,)
    return lambda: aten._adaptive_avg_pool2d_backward(grad_y, x)


def fastconv(problem: Problem, direction: str) -> Contender:
    return Contender(Call(_of_torch(problem, direction, True, False)))


def fastconv_channels_last(problem: Problem, direction: str) -> Contender:
    return Contender(Call(_of_torch(problem, direction, True, True)))


def eager(problem: Problem, direction: str) -> Contender:
    return Contender(Call(_of_torch(problem, direction, False, False)))


def channels_last(problem: Problem, direction: str) -> Contender:
    return Contender(Call(_of_torch(problem, direction, False, True)))


def compiled(problem: Problem, direction: str) -> Contender:
    """torch.compile of the operation alone; with autograd, torch compiles its backward too."""
    torch._dynamo.reset()  # each layer is a first one: no limit on recompilations
    if direction != "autograd":
        return Contender(
            Call(torch.compile(_of_torch(problem, direction, False, False), dynamic=False))
        )
    args, grad_y = problem.args, problem.grad_y
    if isinstance(problem, PoolProblem):
        operation, given = getattr(F, problem.kind), (problem.x,)
    else:
        operation, given = F.conv2d, (problem.x, problem.w, problem.bias)
    leaves = tuple(t.clone().requires_grad_() for t in given)
    compiled = torch.compile(lambda *tensors: operation(*tensors, *args), dynamic=False)
    return Contender(Call(lambda: torch.autograd.grad(compiled(*leaves), leaves, grad_y)))
