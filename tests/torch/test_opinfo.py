"""Every sample and error input that torch's own OpInfo tests have for these functions, run here.

Values against torch in float64, strides and types equal to torch's, gradients; torch's errors.
"""

import re
from collections.abc import Callable, Iterator

import pytest
import torch
from reference import assert_rounded_once, assert_within, dot_bound, gradients, magnitude
from tensors import FLOATS, SHORT
from torch import Tensor
from torch.testing._internal.common_methods_invocations import op_db

from fastconv import functional

F = torch.nn.functional
NAMES = ("conv2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d")
TYPES = (*FLOATS, *SHORT)
OPINFOS = {name: next(o for o in op_db if o.name == f"nn.functional.{name}") for name in NAMES}


def samples(name: str, dtype: torch.dtype) -> Iterator[tuple[str, list, list, dict]]:
    """(what it is, tensors, other arguments, keywords) of each; tensors come first everywhere."""
    torch.manual_seed(0)
    for number, sample in enumerate(OPINFOS[name].sample_inputs("cpu", dtype)):
        given = [sample.input, *sample.args]
        count = 0
        while count < len(given) and (given[count] is None or isinstance(given[count], Tensor)):
            count += 1
        tensors, others = given[:count], given[count:]
        sizes = [None if t is None else tuple(t.shape) for t in tensors]
        yield f"sample {number}: {sizes}, {others}, {sample.kwargs}", tensors, others, sample.kwargs


def calling(function: Callable, others: list, kwargs: dict) -> Callable:
    """A function of the tensors alone, with one tensor as its result."""

    def call(*tensors):
        result = function(*tensors, *others, **kwargs)
        return result[0] if isinstance(result, tuple) else result

    return call


def sum_terms(name: str, tensors: list, others: list, kwargs: dict, grad_y: Tensor) -> int:
    """At least as many terms as any element of the output or of a gradient sums."""
    if name == "conv2d":
        x, w = tensors[:2]
        return max(w[0].numel(), w.numel(), grad_y.numel()) + 1
    planes = tensors[0].shape[-2:], grad_y.shape[-2:]  # no window, nor its transpose, has more
    return max(plane.numel() for plane in planes)


def absolute(kwargs: dict) -> dict:
    divisor = kwargs.get("divisor_override")
    return {**kwargs, "divisor_override": abs(divisor)} if divisor else kwargs


def at(tensors: list, change: Callable) -> list:
    return [None if t is None else change(t.detach()) for t in tensors]


def check_forward(name, what, tensors, others, kwargs) -> None:
    ours, torchs = getattr(functional, name), getattr(F, name)
    y, like = (f(*tensors, *others, **kwargs) for f in (ours, torchs))
    if isinstance(like, tuple):
        assert isinstance(y, tuple) and torch.equal(y[1], like[1]), f"{what}: indices"
        assert y[1].stride() == like[1].stride(), f"{what}: strides of indices"
        y, like = y[0], like[0]
    assert y.stride() == like.stride() and y.dtype is like.dtype, f"{what}: {y.stride()}"
    assert y.device == like.device and y.layout is like.layout, what
    if name == "max_pool2d":
        assert torch.equal(y, like), what
        return
    want = calling(torchs, others, kwargs)(*at(tensors, Tensor.double))
    sizes = calling(torchs, others, absolute(kwargs))(*at(tensors, lambda t: t.double().abs()))
    terms = sum_terms(name, tensors, others, kwargs, like)
    if y.dtype in SHORT:
        limit = dot_bound(terms, magnitude(sizes), torch.float32)
        assert_rounded_once(y, want, limit, what)
    else:
        assert_within(y, want, dot_bound(terms, magnitude(sizes), y.dtype), what)


def check_backward(name, what, tensors, others, kwargs) -> None:
    ours = calling(getattr(functional, name), others, kwargs)
    torchs = calling(getattr(F, name), others, kwargs)
    of_absolutes = calling(getattr(F, name), others, absolute(kwargs))
    double = at(tensors, Tensor.double)
    y = torchs(*at(tensors, Tensor.clone))
    grad_y = torch.linspace(-1, 1, y.numel()).view(y.shape).to(y.dtype)
    got = gradients(ours, grad_y, *tensors)[1:]
    want = gradients(torchs, grad_y.double(), *double)[1:]
    places = (
        double if name == "max_pool2d" else at(double, Tensor.abs)
    )  # maxima stay where they are
    sizes = gradients(of_absolutes, grad_y.double().abs(), *places)[1:]
    terms = sum_terms(name, tensors, others, kwargs, y)
    for g, reference, size in zip(got, want, sizes, strict=True):
        if reference is not None and g.dtype in SHORT:
            limit = dot_bound(terms, magnitude(size), torch.float32)
            assert_rounded_once(g, reference, limit, f"{what}, backward")
        else:
            limit = 0.0 if size is None else dot_bound(terms, magnitude(size), g.dtype)
            assert_within(g, reference, limit, f"{what}, backward")


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_samples(name: str, dtype: torch.dtype):
    """All of them forward; backward too, but for most of max_pool2d's."""
    assert dtype in OPINFOS[name].dtypes
    count = 0
    for what, *sample in samples(name, dtype):
        check_forward(name, what, *sample)
        if name != "max_pool2d" or count % 7 == 0:
            check_backward(name, what, *sample)
        count += 1
    assert count >= {"conv2d": 30, "max_pool2d": 1440, "avg_pool2d": 7}.get(name, 10)


@pytest.mark.parametrize("name", ["conv2d", "max_pool2d", "avg_pool2d"])
def test_samples_of_other_types_equal_torchs(name: str):
    others = {torch.int64} if name == "max_pool2d" else OPINFOS[name].dtypes - set(TYPES)
    assert others
    for dtype in others:
        for number, (what, tensors, rest, kwargs) in enumerate(samples(name, dtype)):
            if name != "max_pool2d" or number % 20 == 0:
                got = getattr(functional, name)(*tensors, *rest, **kwargs)
                want = getattr(F, name)(*tensors, *rest, **kwargs)
                torch.testing.assert_close(got, want, rtol=0, atol=0, msg=f"{dtype} {what}")


@pytest.mark.parametrize("name", NAMES)
def test_error_inputs(name: str):
    count = 0
    for error in OPINFOS[name].error_inputs("cpu"):
        sample = error.sample_input
        with pytest.raises(error.error_type) as raised:
            getattr(functional, name)(sample.input, *sample.args, **sample.kwargs)
        with pytest.raises(error.error_type) as theirs:
            getattr(F, name)(sample.input, *sample.args, **sample.kwargs)
        assert type(raised.value) is type(theirs.value), error.error_regex
        assert re.search(error.error_regex, str(raised.value)), (error.error_regex, raised.value)
        count += 1
    assert count >= 3
