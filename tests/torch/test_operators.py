"""The operators torch.ops.fastconv: opcheck, and what modes, tracers and counters see of them."""

import pytest
import torch
from derivatives import CONVS, conv_inputs, network, network_tensors
from reference import assert_all_equal
from seen import Operators
from tensors import whole
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import grad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from fastconv import functional

F = torch.nn.functional
_CONV_ARGS = ([2, 1], [1, 0, 2, 1], [1, 2], 2)
_MAX_ARGS = ([3, 2], [2, 2], [1, 0], [1, 1], True)
_AVG_ARGS = ([3, 2], [2, 2], [1, 0], True, False, None)


def operator_samples() -> dict[str, list[tuple]]:
    x, w = whole(2, 4, 6, 7), whole(6, 2, 3, 2, seed=1)
    last = x.contiguous(memory_format=torch.channels_last)
    grad_y = torch.ones_like(torch.ops.fastconv.conv2d(x, w, None, *_CONV_ARGS))
    y, indices = torch.ops.fastconv.max_pool2d(x, *_MAX_ARGS, True)
    _, last_indices = torch.ops.fastconv.max_pool2d(last, *_MAX_ARGS, True)
    adaptive, places = torch.ops.fastconv.adaptive_max_pool2d(x, [4, 3], True)
    _, last_places = torch.ops.fastconv.adaptive_max_pool2d(last, [4, 3], True)
    at = torch.arange(42).flip(0).view(6, 7).expand(2, 4, 6, 7).contiguous()
    averages = torch.ops.fastconv.avg_pool2d(x, *_AVG_ARGS)
    x_size, w_size = list(x.shape), list(w.shape)
    return {
        "conv2d": [(x, w, whole(6), *_CONV_ARGS), (last, w, None, *_CONV_ARGS)],
        "conv2d_fused": [
            (x, w, whole(6), whole(*grad_y.shape), -3.5, 2.5, *_CONV_ARGS),
            (last, w, None, whole(*grad_y.shape), 0.5, None, *_CONV_ARGS),
            (x, w, None, None, None, None, *_CONV_ARGS, True),
        ],
        "conv2d_backward_input": [
            (grad_y, w, x_size, *_CONV_ARGS, False),
            (grad_y, w, x_size, *_CONV_ARGS, True),
        ],
        "conv2d_backward_weight": [
            (grad_y, x, w_size, *_CONV_ARGS, False, True),
            (grad_y, last, w_size, *_CONV_ARGS, True, False),
        ],
        "max_pool2d": [(x, *_MAX_ARGS, True), (last, *_MAX_ARGS, False)],
        "max_pool2d_indices": [
            (indices, x, *_MAX_ARGS),
            (last_indices, last, *_MAX_ARGS),
        ],
        "max_pool2d_backward": [
            (torch.ones_like(y), indices, x_size, *_MAX_ARGS, False),
            (torch.ones_like(y), last_indices, x_size, *_MAX_ARGS, True),
        ],
        "adaptive_max_pool2d": [(x, [4, 3], True), (last, [1, 9], False)],
        "adaptive_max_pool2d_indices": [(places, x, [4, 3]), (last_places, last, [4, 3])],
        "adaptive_max_pool2d_backward": [
            (torch.ones_like(adaptive), places, x_size, [4, 3], False),
            (torch.ones_like(adaptive), last_places, x_size, [4, 3], True),
        ],
        "max_unpool": [(last, at, [7, 8])],
        "max_unpool_backward": [(whole(2, 4, 7, 8), at, True)],
        "avg_pool2d": [(x, *_AVG_ARGS), (last, *_AVG_ARGS[:-1], 5)],
        "avg_pool2d_backward": [
            (averages, x_size, *_AVG_ARGS, False),
            (averages, x_size, *_AVG_ARGS, True),
        ],
        "adaptive_avg_pool2d": [(x, [4, 3]), (last, [1, 9])],
        "adaptive_avg_pool2d_backward": [
            (whole(2, 4, 4, 3), x_size, [4, 3], False),
            (whole(2, 4, 1, 9), x_size, [1, 9], True),
        ],
    }


OPERATORS = tuple(operator_samples())


def test_every_operator_has_samples():
    names = {n.split("::")[1] for n in torch._C._dispatch_get_all_op_names() if "fastconv::" in n}
    assert names == set(OPERATORS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", OPERATORS)
def test_opcheck(name: str, dtype: torch.dtype):
    operator = getattr(torch.ops.fastconv, name).default
    for sample in operator_samples()[name]:
        args = [
            a.to(dtype) if isinstance(a, Tensor) and a.is_floating_point() else a for a in sample
        ]
        torch.library.opcheck(operator, args)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_do_not_change_or_return_their_arguments(name: str):
    operator = getattr(torch.ops.fastconv, name)
    for sample in operator_samples()[name]:
        tensors = [a for a in sample if isinstance(a, Tensor)]
        copies = [t.clone() for t in tensors]
        results = torch.utils._pytree.tree_leaves(operator(*sample))
        assert_all_equal(tensors, copies)
        own = {t.untyped_storage().data_ptr() for t in tensors}
        assert all(r.untyped_storage().data_ptr() not in own for r in results if r.numel())


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_of_fake_and_meta_tensors_have_the_real_strides(name: str):
    operator = getattr(torch.ops.fastconv, name)
    for sample in operator_samples()[name]:
        real = torch.utils._pytree.tree_leaves(operator(*sample))
        with FakeTensorMode() as mode:
            fake = operator(*(mode.from_tensor(a) if isinstance(a, Tensor) else a for a in sample))
        meta = operator(*(a.to("meta") if isinstance(a, Tensor) else a for a in sample))
        for results in (fake, meta):
            for r, f in zip(real, torch.utils._pytree.tree_leaves(results), strict=True):
                assert (r.shape, r.stride(), r.dtype) == (f.shape, f.stride(), f.dtype)


def test_fake_tensors_through_the_functions():
    with FakeTensorMode():
        x, w = torch.empty(2, 3, 8, 8, requires_grad=True), torch.empty(4, 3, 3, 3)
        y = functional.max_pool2d(functional.conv2d(x, w, stride=2, padding="valid"), 2)
        y = functional.adaptive_avg_pool2d(functional.avg_pool2d(y, 1), 2)
        assert y.shape == (2, 4, 2, 2)
        y.sum().backward()
        assert x.grad.shape == x.shape


ALL_SEEN = [
    "conv2d", "max_pool2d", "conv2d", "avg_pool2d", "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward", "avg_pool2d_backward",
    "conv2d_backward_input", "conv2d_backward_weight",
    "max_pool2d_backward", "conv2d_backward_input", "conv2d_backward_weight",
]  # fmt: skip


def test_dispatch_mode_sees_the_operators():
    leaves = [t.requires_grad_() for t in network_tensors()]
    with Operators() as seen:
        network(functional)(*leaves).backward()
    assert seen.names == ALL_SEEN


def test_profiler_sees_the_operators():
    leaves = [t.requires_grad_() for t in network_tensors()]
    with torch.profiler.profile() as profile:
        network(functional)(*leaves).backward()
    counts = {e.key: e.count for e in profile.key_averages() if e.key.startswith("fastconv::")}
    assert counts == {f"fastconv::{name}": ALL_SEEN.count(name) for name in ALL_SEEN}


@pytest.mark.parametrize("name", CONVS)
def test_flops_are_torchs(name: str):
    counted = []
    for package in (functional, F):
        x, w, b = conv_inputs(name)
        kwargs = CONVS[name][2]
        if kwargs.get("groups", 1) > 1:
            w = w.detach()  # torch counts the weight's gradient of groups by another convention
        with FlopCounterMode(display=False) as forward:
            y = package.conv2d(x, w, b, **kwargs)
        with FlopCounterMode(display=False) as backward:
            y.sum().backward()
        counted.append((forward.get_total_flops(), backward.get_total_flops()))
    assert counted[0] == counted[1] and min(counted[0]) > 0


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_jit_trace():
    x, w, b = network_tensors()
    traced = torch.jit.trace(network(functional), (x, w, b))
    assert "fastconv::adaptive_avg_pool2d" in str(traced.graph)
    assert {"fastconv::conv2d", "fastconv::max_pool2d", "fastconv::avg_pool2d"} <= {
        n.kind() for n in traced.graph.nodes()
    }
    assert torch.equal(traced(x + 1, w - 1, b), network(F)(x + 1, w - 1, b))


@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_make_fx(mode: str):
    x, w, b = network_tensors()
    traced = make_fx(network(functional), tracing_mode=mode)(x, w, b)
    called = [str(n.target) for n in traced.graph.nodes if "fastconv" in str(n.target)]
    assert [c.split(".")[1] for c in called] == ALL_SEEN[:5]
    assert torch.equal(traced(x + 1, w - 1, b), network(F)(x + 1, w - 1, b))


def test_make_fx_of_a_gradient():
    x, w, b = network_tensors()
    traced = make_fx(grad(network(functional), argnums=(0, 1, 2)))(x, w, b)
    want = grad(network(F), argnums=(0, 1, 2))(x, w, b)
    assert_all_equal(traced(x, w, b), want)
    called = [
        str(n.target).split(".")[1] for n in traced.graph.nodes if "fastconv" in str(n.target)
    ]
    assert sorted(called) == sorted(ALL_SEEN)
