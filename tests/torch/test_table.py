"""The table of operators (fastconv/core/ops.py) and what is wired from it agree, and a row added to
it is all that an operator of a kernel needs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fastconv import functional
from fastconv.core import cpu, cuda, eager, ops
from fastconv.core.extension import _C

ROOT = Path(__file__).resolve().parents[2]
has_kernel = torch._C._dispatch_has_computed_kernel_for_dispatch_key


def test_torch_knows_the_operators_of_the_table_and_no_others():
    names = {n.split("::")[1] for n in torch._C._dispatch_get_all_op_names() if "fastconv::" in n}
    assert names == set(ops.operators)


@pytest.mark.parametrize("name", ops.operators)
def test_an_operator_is_wired_to_its_kernel(name):
    operator = ops.operators[name]
    assert getattr(ops, name) is operator.call and operator.call.__name__ == name
    assert operator.overload is getattr(torch.ops.fastconv, name).default
    assert all(has_kernel(f"fastconv::{name}", key) for key in ("CPU", "Meta", "AutogradCPU"))
    assert operator.plains["cpu"] is getattr(cpu, operator.kernel)
    assert callable(getattr(cuda.Operators, operator.kernel))


def test_plain_calls_are_those_of_the_rows_with_arguments():
    plain = {name for name, operator in ops.operators.items() if operator.arguments}
    assert plain == {row.name for row in eager._ROWS} and len(eager._PLANNERS) == len(plain)
    assert all(callable(getattr(eager, name)) and hasattr(functional, name) for name in plain)


def test_rows_that_could_not_be_told_apart_are_refused():
    fake = ops.operators["avg_pool2d"].call
    for schema in ("avg_pool2d(Tensor x) -> Tensor", "other(Tensor x, int[2] size) -> Tensor"):
        with pytest.raises(ValueError, match="is there already"):
            ops.operator(schema, cpu.avg_pool2d, fake)
    assert not hasattr(torch.ops.fastconv, "other")


@pytest.mark.skipif(not eager.hosts, reason="no host for this torch")
def test_plain_calls_of_unknown_kernels_and_rows_end_in_errors():
    with pytest.raises(ValueError, match="no kernel no_such"):
        _C.eager_call("no_such", 0)
    for kernel in ("avg_pool2d", "max_pool2d"):
        with pytest.raises(RuntimeError):
            _C.eager_call(kernel, len(eager._ROWS))(torch.ones(1, 1, 2, 2), 2)


# Average pooling with the arguments of max pooling: another kind of windows for a kernel.
PLANTED = """
planted_pool2d = operator(
    f"planted_pool2d(Tensor x, {_MAX}) -> Tensor",
    cpu.avg_pool2d,
    lambda x, *args: fakes.max_pool2d(x, *args, False)[0],
    arguments=arguments.max_pool2d_args,
    aten=("planted",),
)
planted_pool2d_backward = operator(
    "planted_pool2d_backward"
    f"(Tensor grad_y, SymInt[] x_size, {_MAX}, bool channels_last) -> Tensor",
    cpu.avg_pool2d_backward,
    fakes.pool2d_backward,
)
"""
CALLS = """
import torch
from fastconv.core import eager, ops, watching

ARGS = ((3, 2), (2, 2), (1, 0), (1, 1), False)
x = torch.randn(2, 3, 9, 8, requires_grad=True)
want = torch.nn.functional.avg_pool2d(x, *ARGS[:3])
(grad,) = torch.autograd.grad(want.sum(), x)
named = torch.ops.fastconv.planted_pool2d.default
calls = {
    "by name": lambda: named(x, *ARGS),
    "plain call of ops": lambda: ops.planted_pool2d(x.detach(), *ARGS),
    "compiled": lambda: torch.compile(named, backend="aot_eager")(x, *ARGS),
}
for host in eager.hosts:
    def short(host=host):
        eager.use(host)
        return eager.planted_pool2d(x, *ARGS)
    calls[host] = short
for way, call in calls.items():
    y = call()
    torch.testing.assert_close(y, want, rtol=1e-5, atol=1e-6)
    if y.requires_grad:
        got = torch.autograd.grad(y.sum(), x, create_graph=way != "compiled")
        torch.testing.assert_close(got[0], grad, rtol=1e-5, atol=1e-6)
    print(way, y.grad_fn.name() if way == "_torch" else "")
torch.library.opcheck(named, (x, *map(lambda a: list(a) if isinstance(a, tuple) else a, ARGS)))
assert "planted_pool2d" in watching._OURS
print("done")
"""


def test_a_planted_operator_needs_its_rows_alone(tmp_path):
    package = tmp_path / "fastconv"
    shutil.copytree(ROOT / "fastconv", package, ignore=shutil.ignore_patterns("*.so", "__py*"))
    for library in (ROOT / "fastconv").glob("*.so"):
        (package / library.name).symlink_to(library)
    with (package / "core" / "ops.py").open("a") as table:
        table.write(PLANTED)
    done = subprocess.run(
        [sys.executable, "-c", CALLS], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "done" and len(lines) == 4 + len(eager.hosts)
    if "_torch" in eager.hosts:
        assert "_torch FastconvPlantedPool2dBackward" in lines
