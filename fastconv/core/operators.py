"""How a row of the table in ops.py becomes an operator: `torch.ops.fastconv.<name>`, its plain
call, what compilers know of it, and its kernels on each device. Layer: operators, below ops.py.

An operator is a kernel with windows of one kind. The kernel gives it, by the kernel's name, its
plain call on a device (cpu.py, cuda.py), its derivative (derivatives.py) and the short way of its
plain calls (eager.py).
"""

from collections.abc import Callable
from functools import wraps
from typing import NamedTuple

import torch
from torch._decomp import register_decomposition
from torch.utils.flop_counter import flop_registry, register_flop_formula

from fastconv.core import inductor
from fastconv.core.extension import _C, torch_library
from fastconv.core.tensors import PLAIN_DEVICES, unwatched

_TAGS = (torch.Tag.pt2_compliant_tag, torch.Tag.needs_fixed_stride_order)
_library = torch.library.Library("fastconv", "DEF")
if torch_library is not None:
    torch_library.register_operators(_C.eager_kernels)


class Operator(NamedTuple):
    """A row of the table, and what it was wired to."""

    name: str
    kernel: str
    tensors: int  # that lead its arguments
    overload: torch._ops.OpOverload
    call: Callable  # the function of ops.py
    plains: dict[str, Callable]  # by device: its plain call
    arguments: Callable | None
    aten: tuple[str, ...]


operators: dict[str, Operator] = {}  # by name
_by_arguments: dict[tuple[str, int], Callable] = {}  # kernel, number of arguments -> call


def run(kernel: str, *args: object) -> object:
    """Calls the operator that runs `kernel` on that many arguments."""
    return _by_arguments[kernel, len(args)](*args)


def _hashable(argument):
    return tuple(argument) if isinstance(argument, list) else argument


def _implement(name: str, plain: Callable, key: str) -> None:
    _library.impl(name, lambda *args: plain(*map(_hashable, args)), key)


def register_device(device: str, kernels: object) -> None:
    """Registers kernels.<kernel> as the plain call, on tensors of a device, of each operator that
    runs it."""
    for operator in operators.values():
        operator.plains[device] = getattr(kernels, operator.kernel)
        _implement(operator.name, operator.plains[device], device.upper())
    PLAIN_DEVICES.add(device)


def _register_fake(name: str, fake: Callable) -> None:
    @torch.library.register_fake(f"fastconv::{name}")
    def _(*args, **kwargs):
        inductor.prepare()
        return fake(*args, **kwargs)


def operator(
    schema: str,
    kernel: Callable,
    fake: Callable,
    decomposition: Callable | None = None,
    multiply_adds: Callable | None = None,
    aten: tuple[str, ...] = (),
    arguments: Callable | None = None,
) -> Callable:
    """Defines torch.ops.fastconv.<name>.

    Args:
        schema: "name(arguments) -> results", as torch writes it. Operators of one kernel differ in
            the number of arguments.
        kernel: the plain call on CPU tensors; its name is the kernel's. Where fastconv._torch has
            the operator (csrc/torch/operators.cpp), torch's dispatcher calls that instead.
        fake: gives the results without their memory.
        decomposition: the same by torch's own functions, for exporters.
        multiply_adds: torch's flop formula.
        aten: torch's operators that a fastconv layer replaces by this one, for explain.
        arguments: checks the arguments of the function of that name in functional; the operator
            then has plain calls (eager.py).

    Returns:
        A function that takes the plain call of the device if nobody watches, else the operator.
    """
    parsed = torch._C.parse_schema(schema)
    name, key = parsed.name, (kernel.__name__, len(parsed.arguments))
    if name in operators or key in _by_arguments:
        raise ValueError(f"fastconv: {name} is there already, or is not told from another operator")
    _library.define(schema, tags=_TAGS)
    if not torch._C._dispatch_has_kernel_for_dispatch_key(f"fastconv::{name}", "CPU"):
        _implement(name, kernel, "CPU")
    overload = getattr(torch.ops.fastconv, name).default
    _register_fake(name, fake)
    if decomposition is not None:
        register_decomposition(overload)(decomposition)
        inductor.KEPT.append(overload)
    if multiply_adds is not None:
        packet = overload.overloadpacket
        register_flop_formula(packet)(multiply_adds)
        # torch 2.4 files a formula under an overload, and looks for it under the operator.
        flop_registry.setdefault(packet, flop_registry.get(overload))
    plains = {"cpu": kernel}
    tensors = sum("Tensor" in str(a.type) for a in parsed.arguments)

    @wraps(kernel)
    def call(*args):
        if unwatched(*args[:tensors]):
            return plains[args[0].device.type](*args)
        return overload(*args)

    call.__name__ = call.__qualname__ = name
    row = Operator(name, kernel.__name__, tensors, overload, call, plains, arguments, aten)
    operators[name], _by_arguments[key] = row, call
    return call
