"""conv2d among other operations: aliasing, changes in place, modes, the gradients asked for."""

import pytest
import torch
from reference import assert_within, conv2d_bounds, conv2d_reference, gradients
from seen import Operators
from tensors import channels_last, randn

from fastconv.functional import conv2d

F = torch.nn.functional


def test_arguments_are_left_alone():
    for x_last in (False, True):
        x, w, bias = randn(2, 4, 6, 6), randn(6, 4, 3, 3), randn(6)
        x = channels_last(x) if x_last else x
        grad_y = randn(2, 6, 6, 6)
        tensors = (x, w, bias, grad_y)
        copies = [t.clone() for t in tensors]
        versions = [t._version for t in tensors]
        results = gradients(lambda *t: conv2d(*t, padding=1), grad_y, x, w, bias)
        assert [t._version for t in tensors] == versions
        assert all(map(torch.equal, tensors, copies))
        addresses = {t.untyped_storage().data_ptr() for t in (*results, *tensors)}
        assert len(addresses) == len(results) + len(tensors)


def test_identity_convolution_returns_new_memory():
    x, w = randn(1, 1, 4, 4), torch.ones(1, 1, 1, 1, dtype=torch.float64)
    y = conv2d(x, w)
    y.zero_()
    assert x.count_nonzero() == 16


def test_input_and_weight_may_be_one_tensor():
    t = randn(3, 3, 5, 5).requires_grad_()
    (got,) = torch.autograd.grad(conv2d(t, t, padding=2).square().sum(), t)
    (want,) = torch.autograd.grad(F.conv2d(t, t, padding=2).square().sum(), t)
    grad_y = 2 * F.conv2d(t, t, padding=2).detach()
    assert_within(got, want, sum(conv2d_bounds(t, t, None, grad_y, t.dtype, padding=2)))


def test_no_grad_and_inference_mode():
    x, w = randn(2, 3, 6, 6), randn(4, 3, 3, 3).requires_grad_()
    want = conv2d(x, w)
    assert want.requires_grad
    with torch.no_grad():
        y = conv2d(x, w)
    assert not y.requires_grad and not y.is_inference() and torch.equal(y, want)
    with torch.inference_mode():
        y = conv2d(x, w)
    assert y.is_inference() and not y.requires_grad and torch.equal(y, want)


def test_inference_tensor_outside_its_mode():
    with torch.inference_mode():
        x = randn(2, 3, 6, 6) + 0
    w = randn(4, 3, 3, 3)
    assert not conv2d(x, w).requires_grad
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        conv2d(x, w.requires_grad_())


@pytest.mark.parametrize("changed", ["input", "weight"])
def test_saved_tensor_changed_in_place_raises(changed: str):
    x, w = randn(1, 2, 5, 5).requires_grad_(), randn(3, 2, 3, 3).requires_grad_()
    leaves = {"input": x, "weight": w}
    working = {name: t * 1 for name, t in leaves.items()}
    y = conv2d(working["input"], working["weight"])
    working[changed].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_tensor_not_saved_may_be_changed_in_place():
    x, w = randn(1, 2, 5, 5), randn(3, 2, 3, 3)
    want = gradients(lambda x: conv2d(x, w), torch.ones(1, 3, 3, 3), x)[1]
    leaf, changing = x.clone().requires_grad_(), x.clone()
    y = conv2d(leaf, w)
    with torch.no_grad():
        leaf.zero_()  # the gradient by the input needs the weight only
    y.sum().backward()
    assert torch.equal(leaf.grad, want)
    bias = randn(3).requires_grad_()
    y = conv2d(changing, w, bias)
    changing.zero_()  # nor does the gradient by the bias need either
    y.sum().backward()
    assert torch.equal(bias.grad, torch.full((3,), 9.0, dtype=torch.float64))


def test_output_may_be_changed_in_place():
    x, w = randn(1, 2, 5, 5).requires_grad_(), randn(3, 2, 3, 3).requires_grad_()
    y = conv2d(x, w)
    (2 * y).sum().backward()
    want = x.grad.clone()
    x.grad = None
    conv2d(x, w).mul_(2).sum().backward()
    assert torch.equal(x.grad, want)


@pytest.mark.parametrize(
    ("needed", "called"),
    [
        ("x", ["conv2d_backward_input"]),
        ("w", ["conv2d_backward_weight"]),
        ("b", []),
        ("xw", ["conv2d_backward_input", "conv2d_backward_weight"]),
        ("xb", ["conv2d_backward_input"]),
        ("wb", ["conv2d_backward_weight"]),
        ("xwb", ["conv2d_backward_input", "conv2d_backward_weight"]),
    ],
)
def test_only_the_gradients_asked_for_are_computed(needed: str, called: list[str]):
    tensors = {"x": randn(2, 3, 6, 6), "w": randn(4, 3, 3, 3), "b": randn(4)}
    want = dict(zip("xwb", conv2d_reference(*tensors.values(), randn(2, 4, 4, 4))[1:], strict=True))
    limits = conv2d_bounds(*tensors.values(), randn(2, 4, 4, 4), torch.float64)[1:]
    for name in needed:
        tensors[name].requires_grad_()
    y = conv2d(*tensors.values())
    with Operators() as seen:
        y.backward(randn(2, 4, 4, 4))
    assert sorted(seen.names) == called
    for (name, t), limit in zip(tensors.items(), limits, strict=True):
        assert_within(t.grad, want[name] if name in needed else None, limit, name)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("asked", ["x", "w", "bias", "before x", "x and w"])
def test_gradients_left_out_of_autograd_grad_are_not_computed(asked, with_bias):
    leaf, w = randn(2, 3, 6, 6).requires_grad_(), randn(4, 3, 3, 3).requires_grad_()
    bias = randn(4).requires_grad_() if with_bias else None
    if asked == "bias" and not with_bias:
        pytest.skip("there is no bias to ask for")
    x = leaf * 2 if asked == "before x" else leaf
    of = {"x": [x], "w": [w], "bias": [bias], "before x": [leaf], "x and w": [x, w]}[asked]
    y = conv2d(x, w, bias)
    with Operators() as seen:
        got = torch.autograd.grad(y, of, torch.ones_like(y), retain_graph=True)
    inputs = {"conv2d_backward_input"} if asked != "w" and asked != "bias" else set()
    weights = {"conv2d_backward_weight"} if "w" in asked.split() else set()
    assert {n for n in seen.names if n.startswith("conv2d")} == inputs | weights
    want = torch.autograd.grad(F.conv2d(x, w, bias), of, torch.ones_like(y))
    for g, t in zip(got, want, strict=True):
        torch.testing.assert_close(g, t)


def test_backward_to_some_inputs_computes_those():
    x, w = randn(2, 3, 6, 6).requires_grad_(), randn(4, 3, 3, 3).requires_grad_()
    y = conv2d(x, w)
    with Operators() as seen:
        y.sum().backward(inputs=[w])
    assert "conv2d_backward_input" not in seen.names and x.grad is None and w.grad is not None
