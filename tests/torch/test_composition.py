"""Ours together with what torch puts around its own layers: compiled autograd, frozen graphs, the
cache of autocast, packages of AOTInductor, operators called by name.
"""

import os
import subprocess
import sys

import pytest
import torch
from reference import assert_all_equal, assert_within, conv2d_bounds
from small_net import Net, X, step
from tensors import fill, whole
from test_operators import OPERATORS, operator_samples
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import fastconv
from fastconv import functional
from fastconv.core import ops
from fastconv.core.extension import torch_library


@pytest.mark.skipif(torch_library is None, reason="fastconv._torch was not built for this torch")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_in_cpp_are_those_in_python(name: str, dtype: torch.dtype):
    for sample in operator_samples()[name]:
        args = [a.to(dtype) if isinstance(a, Tensor) and a.is_floating_point() else a
                for a in sample]  # fmt: skip
        plain = getattr(ops, name).__wrapped__
        want = plain(*(tuple(a) if isinstance(a, list) else a for a in args))
        got = getattr(torch.ops.fastconv, name)(*args)
        assert_all_equal(got, want)
        for g, w in zip(*map(torch.utils._pytree.tree_leaves, (got, want)), strict=True):
            assert g.stride() == w.stride()


@pytest.mark.parametrize(
    "args, error",
    [
        (([1], [0] * 4, [1, 1], 1), (ValueError, TypeError, IndexError)),
        (([1, 1], [0] * 3, [1, 1], 1), (ValueError, TypeError, IndexError)),
        (([1, 1], [0] * 4, [1, 1], 5), ValueError),
    ],
)
def test_operators_refuse_rows_of_other_lengths(args: tuple, error: type):
    with pytest.raises(error):
        torch.ops.fastconv.conv2d(torch.ones(1, 2, 4, 4), torch.ones(2, 2, 1, 1), None, *args)
    with pytest.raises((ValueError, TypeError, IndexError)):
        torch.ops.fastconv.adaptive_avg_pool2d(torch.ones(1, 2, 4, 4), [])


def test_compiled_autograd_has_no_graph_break(host, fresh_compiler):
    """Also of extents beyond 127, whose bytes are no text."""
    if host == "_torch" and torch.__version__ < "2.8":
        pytest.skip("fastconv._torch's nodes have no compiled autograd there")
    from torch._dynamo import compiled_autograd

    x, w = (t.requires_grad_() for t in (whole(2, 200, 4, 4), whole(3, 200, 1, 1)))

    def train(call) -> tuple:
        y = functional.max_pool2d(call(x, w, padding=1), 2)
        return torch.autograd.grad(functional.avg_pool2d(y, 2).square().sum(), (x, w))

    want = train(torch.conv2d)
    whole_graph = torch.compile(backend="aot_eager", fullgraph=True)
    with compiled_autograd._enable(whole_graph):
        assert_all_equal(train(functional.conv2d), want)
        y = functional.conv2d(x, w, padding=1)
        (alone,) = torch.autograd.grad(y.square().sum(), (w,))  # asks for another gradient
    assert_all_equal(alone, torch.autograd.grad(torch.conv2d(x, w, padding=1).square().sum(), w)[0])


class _Casts(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function._opname == "_to_copy"
        return function(*args, **(kwargs or {}))


@pytest.mark.skipif(torch_library is None, reason="without fastconv._torch every call casts")
def test_autocast_casts_a_weight_once_in_a_block():
    x, w, b = torch.randn(1, 2, 4, 4), nn.Parameter(torch.randn(2, 2, 3, 3)), torch.zeros(2)

    def casts(call, training: bool) -> int:
        with _Casts() as seen, torch.autocast("cpu", torch.bfloat16):
            with torch.set_grad_enabled(training):
                for _ in range(3):
                    y = call(x, w, b)
        if training:
            (grad,) = torch.autograd.grad(y.sum(), w)
            assert grad.dtype is torch.float32
        return seen.count

    for training in (True, False):
        assert casts(functional.conv2d, training) == casts(torch.conv2d, training) == 7
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            before = functional.conv2d(x, w)
        y = functional.conv2d(x, w)  # what was cast without gradients is not used
        assert y.requires_grad and not before.requires_grad
    with torch.no_grad():
        w.zero_()
    with torch.autocast("cpu", torch.bfloat16):
        assert not functional.conv2d(x, w).any()


def test_inductor_folds_a_frozen_batch_norm(fresh_compiler):
    from torch._inductor import config
    from torch._inductor.utils import run_and_get_code

    plain, with_bias = nn.Conv2d(3, 16, 3, bias=False), nn.Conv2d(16, 24, 1)
    model = nn.Sequential(plain, nn.BatchNorm2d(16), with_bias, nn.BatchNorm2d(24)).eval()
    for norm in (model[1], model[3]):
        norm.running_mean.copy_(torch.randn_like(norm.running_mean))
        norm.running_var.copy_(1 + torch.rand_like(norm.running_var))
    x = torch.randn(2, 3, 6, 6)
    want = model.double()(x.double())
    model = fastconv.convert(model.float())
    with torch.no_grad(), config.patch(freezing=True):
        got, (code,) = run_and_get_code(torch.compile(model), x)
    assert code.count("fastconv.conv2d") >= 2 and "cpp_fused" not in code
    # The last layer's rounding, of a bound that counts every operation of the first as a term.
    limit = 8 * conv2d_bounds(x, model[0].weight, None, torch.ones(2, 16, 4, 4), x.dtype)[0]
    assert_within(got, want, limit)


AOT = """
import torch, fastconv
model = torch._inductor.aoti_load_package({path!r})
x, want = torch.load({data!r})
assert torch.equal(model(x), want)
"""


has_packages = hasattr(torch._inductor, "aoti_compile_and_package")  # torch 2.6 and newer


@pytest.mark.skipif(not has_packages, reason="this torch makes no packages")
def test_a_package_of_aotinductor_runs_in_a_fresh_process(tmp_path):
    model, x = fill(Net()).float().eval(), X.float()
    with torch.no_grad():
        want = model(x)
        program = torch.export.export(model, (x,))
    path = torch._inductor.aoti_compile_and_package(program, package_path=f"{tmp_path}/net.pt2")
    torch.save((x, want), tmp_path / "data.pt")
    code = AOT.format(path=path, data=str(tmp_path / "data.pt"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env=os.environ)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_all_equal(step(model, x, model.parameters())[0], want)
