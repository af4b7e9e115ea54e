"""Wrong calls of any function: by keyword, of other layouts, of too many arguments; backward."""

import re

import pytest
import torch
from wrong_calls import B, W, X, raised, t

from fastconv import functional
from fastconv.functional import conv1d

F = torch.nn.functional

# name: (function, positional arguments, keywords)
AS_CALLED = {
    "stride_by_keyword": ("conv2d", (X, W), {"stride": 1.5}),
    "padding_by_keyword": ("conv2d", (X, W), {"padding": None}),
    "defaults_left_out": ("conv2d", (X.numpy(), W), {}),
    "channels_by_keyword": ("conv2d", (), {"input": t(2, 3, 8, 8), "weight": W}),
    "kernel_by_keyword": ("max_pool2d", (X,), {"kernel_size": 2.0}),
    "ceil_mode_by_keyword": ("max_pool2d", (X, 2), {"ceil_mode": 1}),
    "divisor_by_keyword": ("avg_pool2d", (X, 2), {"divisor_override": 2.0}),
    "avg_kernel_alone": ("avg_pool2d", (X, 2.0), {}),
    "output_by_keyword": ("adaptive_avg_pool2d", (X,), {"output_size": 2.0}),
}


def without_echo(message: str) -> str:
    """What a TypeError says but for how the call was written, and for its own call stack."""
    return re.sub(r" - got .*| \(position \d+\)|\nException raised.*", "", message, flags=re.S)


@pytest.mark.parametrize("name", AS_CALLED)
def test_keywords_and_defaults(name: str):
    function, args, kwargs = AS_CALLED[name]
    expected = raised(getattr(F, function), *args, **kwargs)
    got = raised(getattr(functional, function), *args, **kwargs)
    assert type(got) is type(expected)
    assert without_echo(str(got)) == without_echo(str(expected))


# function: (tensors, arguments that are whole numbers, with good values)
WHOLE_NUMBERS = {
    "conv1d": ((t(2, 4, 8), t(6, 4, 3)), {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}),
    "conv2d": ((X, W), {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}),
    "max_pool2d": ((X,), {"kernel_size": 2, "stride": 1, "padding": 0, "dilation": 1}),
    "avg_pool2d": ((X,), {"kernel_size": 2, "stride": 1, "padding": 0, "divisor_override": 1}),
    "adaptive_avg_pool2d": ((X,), {"output_size": 1}),
}


@pytest.mark.parametrize("beyond", [2**63, 2**64, 2**70, -(2**63) - 1, -(2**70)])
@pytest.mark.parametrize("function", WHOLE_NUMBERS)
def test_numbers_beyond_64_bits(function: str, beyond: int):
    tensors, good = WHOLE_NUMBERS[function]
    ours, torchs = {**vars(functional), "conv1d": conv1d}[function], getattr(F, function)
    single = {"conv1d": 1}.get(function, 2)
    for name in good:
        forms = [beyond, (beyond,), (1,) * (single - 1) + (beyond,), [beyond] * single]
        for value in forms[:1] if name in ("groups", "divisor_override") else forms:
            arguments = {**good, name: value}
            expected, got = (raised(f, *tensors, **arguments) for f in (torchs, ours))
            assert type(got) is type(expected), (name, value, got)
            assert without_echo(str(got)) == without_echo(str(expected))


def test_divisors_of_64_bits():
    for divisor in (2**62, 2**63 - 1, -(2**63) + 1):
        given = X.double(), 2, 1, 0, False, True, divisor
        assert torch.equal(functional.avg_pool2d(*given), F.avg_pool2d(*given))


@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("conv2d", (X.to_sparse(), W)),
        ("conv2d", (X, W.to_sparse())),
        ("conv2d", (X, W, B.to_sparse())),
        ("conv2d", (torch.nested.nested_tensor([X[0], X[1]]), W)),
        ("max_pool2d", (X.to_sparse(), 2)),
        ("max_pool2d", (torch.nested.nested_tensor([X[0], X[1]]), 2)),
        ("avg_pool2d", (X.to_sparse(), 2)),
        ("adaptive_avg_pool2d", (X.to_sparse(), 2)),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value[0].layout),
)
def test_layouts_without_kernels(function: str, args: tuple):
    """Texts of the dispatcher name the entry they came by, so only their beginnings are alike."""
    expected = raised(getattr(F, function), *args)
    got = raised(getattr(functional, function), *args)
    assert type(got) is type(expected), f"{got!r:.200} for {expected!r:.200}"
    assert str(got)[:60] == str(expected)[:60]


def test_missing_and_surplus_arguments_are_type_errors():
    for function, args in (
        ("conv2d", (X,)),
        ("conv2d", (X, W, None, 1, 0, 1, 1, 1)),
        ("max_pool2d", (X,)),
        ("avg_pool2d", (X,)),
        ("adaptive_avg_pool2d", (X,)),
    ):
        assert isinstance(raised(getattr(F, function), *args), TypeError)
        assert isinstance(raised(getattr(functional, function), *args), TypeError)


@pytest.mark.parametrize(
    ("function", "args"),
    [("conv2d", (W,)), ("max_pool2d", (2,)), ("avg_pool2d", (2,)), ("adaptive_avg_pool2d", (2,))],
)
def test_gradient_of_wrong_size(function: str, args: tuple):
    for wrong in (t(1), t(2, 4, 1, 1)):
        errors = []
        for module in (functional, F):
            x = X.clone().requires_grad_()
            y = getattr(module, function)(x, *args)
            errors.append(raised(torch.autograd.grad, y, x, wrong))
        assert type(errors[0]) is type(errors[1])
        assert str(errors[0]) == str(errors[1])


def test_second_backward_through_a_freed_graph():
    for function, args in (("conv2d", (W,)), ("max_pool2d", (2,))):
        y = getattr(functional, function)(X.clone().requires_grad_(), *args).sum()
        y.backward()
        with pytest.raises(
            RuntimeError, match="Trying to backward through the graph a second time"
        ):
            y.backward()
