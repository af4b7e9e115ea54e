"""Wrong calls: fastconv raises the class and the very words of torch's own function or module.

torch is called with the same arguments in the same places, and its exception is the expectation.
"""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

import fastconv
from fastconv import functional

F = torch.nn.functional


def t(*size, dtype=torch.float32) -> torch.Tensor:
    return torch.ones(size, dtype=dtype)


X, W, B = t(2, 4, 8, 8), t(6, 4, 3, 3), t(6)


def raised(function: Callable, *args, **kwargs) -> Exception:
    try:
        result = function(*args, **kwargs)
    except Exception as error:
        return error
    pytest.fail(f"{function.__module__}.{function.__name__} accepts it: {result!r:.60}")


def check_same(ours: Callable, torchs: Callable, *args, **kwargs) -> None:
    fastconv.handovers(reset=True)
    expected = raised(torchs, *args, **kwargs)
    got = raised(ours, *args, **kwargs)
    assert type(got) is type(expected), f"{got!r} for {expected!r}"
    assert str(got) == str(expected)
    assert fastconv.handovers() == {}, "a call that fails is no hand-over"


# name: all seven arguments of conv2d
CONV2D = {
    "input_2d": (t(8, 8), W, None, 1, 0, 1, 1),
    "input_5d": (t(1, 2, 4, 8, 8), W, None, 1, 0, 1, 1),
    "input_0d": (t(), W, None, 1, 0, 1, 1),
    "input_none": (None, W, None, 1, 0, 1, 1),
    "input_list": ([[1.0]], W, None, 1, 0, 1, 1),
    "input_numpy": (X.numpy(), W, None, 1, 0, 1, 1),
    "weight_none": (X, None, None, 1, 0, 1, 1),
    "weight_3d": (X, t(6, 4, 3), None, 1, 0, 1, 1),
    "weight_3d_pair": (X, t(6, 4, 3), None, (1, 1), (0, 0), (1, 1), 1),
    "weight_3d_same": (t(1, 1, 4, 3), t(1, 2, 2), None, 1, "same", 1, 1),
    "weight_5d": (X, t(6, 4, 3, 3, 3), None, 1, 0, 1, 1),
    "channels": (t(2, 3, 8, 8), W, None, 1, 0, 1, 1),
    "channels_unbatched": (t(3, 8, 8), W, None, 1, 0, 1, 1),
    "channels_grouped": (X, t(6, 4, 3, 3), None, 1, 0, 1, 2),
    "bias_length": (X, W, t(5), 1, 0, 1, 1),
    "bias_2d": (X, W, t(6, 1), 1, 0, 1, 1),
    "bias_0d": (X, W, t(), 1, 0, 1, 1),
    "bias_number": (X, W, 1.0, 1, 0, 1, 1),
    "weight_type": (X, W.double(), None, 1, 0, 1, 1),
    "input_type": (X.double(), W, B, 1, 0, 1, 1),
    "input_half": (X.half(), W, B, 1, 0, 1, 1),
    "bias_type": (X, W, B.double(), 1, 0, 1, 1),
    "double_module": (X, W.double(), B.double(), 1, 0, 1, 1),
    "integer_input": (X.long(), W, None, 1, 0, 1, 1),
    "bool": (X.bool(), W.bool(), None, 1, 0, 1, 1),
    "float8": (X.to(torch.float8_e4m3fn), W.to(torch.float8_e4m3fn), None, 1, 0, 1, 1),
    "groups_do_not_divide_weight": (X, t(6, 1, 3, 3), None, 1, 0, 1, 4),
    "groups_beyond_outputs": (t(1, 6, 4, 4), t(2, 2, 1, 3), None, 1, 0, 1, 3),
    "groups_zero": (X, W, None, 1, 0, 1, 0),
    "groups_negative": (X, W, None, 1, 0, 1, -1),
    "groups_float": (X, W, None, 1, 0, 1, 1.0),
    "groups_bool": (X, W, None, 1, 0, 1, True),
    "groups_pair": (X, W, None, 1, 0, 1, (1, 1)),
    "groups_none": (X, W, None, 1, 0, 1, None),
    "stride_zero": (X, W, None, 0, 0, 1, 1),
    "stride_negative": (X, W, None, (1, -1), 0, 1, 1),
    "stride_three": (X, W, None, (1, 1, 1), 0, 1, 1),
    "stride_empty": (X, W, None, (), 0, 1, 1),
    "stride_empty_list": (X, W, None, [], 0, 1, 1),
    "stride_float": (X, W, None, 1.5, 0, 1, 1),
    "stride_whole_float": (X, W, None, 1.0, 0, 1, 1),
    "stride_float_pair": (X, W, None, (1.0, 1.0), 0, 1, 1),
    "stride_bool": (X, W, None, True, 0, 1, 1),
    "stride_bool_pair": (X, W, None, (True, True), 0, 1, 1),
    "stride_none": (X, W, None, None, 0, 1, 1),
    "stride_string": (X, W, None, "1", 0, 1, 1),
    "stride_array": (X, W, None, np.array([1, 1]), 0, 1, 1),
    "stride_tensor": (X, W, None, torch.tensor([1, 1]), 0, 1, 1),
    "stride_set": (X, W, None, {1}, 0, 1, 1),
    "stride_beyond_64_bits": (X, W, None, 2**70, 0, 1, 1),
    "padding_negative": (X, W, None, 1, -1, 1, 1),
    "padding_three": (X, W, None, 1, (1, 1, 1), 1, 1),
    "padding_float": (X, W, None, 1, 0.5, 1, 1),
    "padding_float_pair": (X, W, None, 1, (0.0, 0.0), 1, 1),
    "padding_none": (X, W, None, 1, None, 1, 1),
    "padding_word": (X, W, None, 1, "foo", 1, 1),
    "padding_same_strided": (X, W, None, 2, "same", 1, 1),
    "padding_same_strided_one_axis": (X, W, None, (1, 2), "same", 1, 1),
    "padding_same_channels": (t(2, 3, 8, 8), W, None, 1, "same", 1, 1),
    "padding_same_2d": (t(8, 8), W, None, 1, "same", 1, 1),
    "padding_valid_kernel_too_large": (X, t(6, 4, 9, 9), None, 1, "valid", 1, 1),
    "padding_huge": (X, W, None, 1, 2**62, 1, 1),
    "padding_beyond_64_bits": (X, W, None, 1, 2**70, 1, 1),
    "dilation_zero": (X, W, None, 1, 0, 0, 1),
    "dilation_negative": (X, W, None, 1, 0, (-1,), 1),
    "dilation_three": (X, W, None, 1, 0, (1, 1, 1), 1),
    "dilation_float": (X, W, None, 1, 0, 1.0, 1),
    "kernel_beyond_image": (t(2, 4, 2, 2), W, None, 1, 0, 1, 1),
    "kernel_beyond_image_unbatched": (t(4, 2, 2), W, None, 1, 0, 1, 1),
    "kernel_beyond_image_dilated": (t(2, 4, 5, 5), W, None, 1, 0, 3, 1),
    "kernel_beyond_image_padded": (t(2, 4, 2, 2), t(6, 4, 5, 5), None, 1, 1, 1, 1),
    "kernel_of_no_rows": (X, t(6, 4, 0, 3), None, 1, 0, 1, 1),
    "image_of_no_rows": (t(2, 4, 0, 8), W, None, 1, 0, 1, 1),
    "image_of_no_rows_padded": (t(2, 4, 0, 8), W, None, 1, 2, 1, 1),
    "no_outputs": (X, t(0, 4, 3, 3), None, 1, 0, 1, 1),
    "no_inputs_for_weight": (t(2, 0, 8, 8), W, None, 1, 0, 1, 1),
    "empty_batch_channels": (t(0, 3, 8, 8), W, None, 1, 0, 1, 1),
}

# name: six arguments of max_pool2d
MAX_POOL2D = {
    "input_2d": (t(8, 8), 2, None, 0, 1, False),
    "input_5d": (t(1, 2, 4, 8, 8), 2, None, 0, 1, False),
    "input_none": (None, 2, None, 0, 1, False),
    "input_numpy": (X.numpy(), 2, None, 0, 1, False),
    "bool": (X.bool(), 2, None, 0, 1, False),
    "complex": (X.cfloat(), 2, None, 0, 1, False),
    "no_channels": (t(2, 0, 8, 8), 2, None, 0, 1, False),
    "no_rows": (t(2, 4, 0, 8), 2, None, 0, 1, False),
    "no_rows_unbatched": (t(4, 0, 8), 2, None, 0, 1, False),
    "kernel_zero": (X, 0, None, 0, 1, False),
    "kernel_zero_strided": (X, 0, 1, 0, 1, False),
    "kernel_negative": (X, -1, None, 0, 1, False),
    "kernel_negative_strided": (X, -1, 1, 0, 1, False),
    "kernel_three": (X, (2, 2, 2), None, 0, 1, False),
    "kernel_empty": (X, (), None, 0, 1, False),
    "kernel_float": (X, 2.0, None, 0, 1, False),
    "kernel_float_pair": (X, (2.0, 2.0), None, 0, 1, False),
    "kernel_bool": (X, True, None, 0, 1, False),
    "kernel_none": (X, None, None, 0, 1, False),
    "kernel_beyond_image": (t(2, 4, 2, 2), 3, None, 0, 1, False),
    "kernel_beyond_image_ceil": (t(2, 4, 2, 2), 5, 1, 0, 1, True),
    "kernel_dilated_beyond_image": (t(2, 4, 8, 8), 3, 1, 0, 4, False),
    "stride_zero": (X, 2, 0, 0, 1, False),
    "stride_negative": (X, 2, -1, 0, 1, False),
    "stride_three": (X, 2, (1, 1, 1), 0, 1, False),
    "stride_float": (X, 2, 1.0, 0, 1, False),
    "padding_negative": (X, 2, None, -1, 1, False),
    "padding_beyond_half": (X, 2, None, 2, 1, False),
    "padding_beyond_half_one_axis": (X, (3, 2), None, (1, 2), 1, False),
    "padding_three": (X, 2, None, (0, 0, 0), 1, False),
    "padding_float": (X, 2, None, 0.0, 1, False),
    "dilation_zero": (X, 2, None, 0, 0, False),
    "dilation_negative": (X, 2, None, 0, -1, False),
    "dilation_three": (X, 2, None, 0, (1, 1, 1), False),
    "ceil_mode_int": (X, 2, None, 0, 1, 1),
    "ceil_mode_none": (X, 2, None, 0, 1, None),
}

# name: all seven arguments of avg_pool2d
AVG_POOL2D = {
    "input_2d": (t(8, 8), 2, None, 0, False, True, None),
    "input_5d": (t(1, 2, 4, 8, 8), 2, None, 0, False, True, None),
    "input_none": (None, 2, None, 0, False, True, None),
    "bool": (X.bool(), 2, None, 0, False, True, None),
    "int32": (X.int(), 2, None, 0, False, True, None),
    "complex": (X.cfloat(), 2, None, 0, False, True, None),
    "no_rows": (t(2, 4, 0, 8), 2, None, 0, False, True, None),
    "no_channels": (t(2, 0, 8, 8), 2, None, 0, False, True, None),
    "kernel_zero": (X, 0, None, 0, False, True, None),
    "kernel_negative": (X, -1, 1, 0, False, True, None),
    "kernel_three": (X, (2, 2, 2), None, 0, False, True, None),
    "kernel_float": (X, 2.0, None, 0, False, True, None),
    "kernel_beyond_image": (t(2, 4, 2, 2), 3, None, 0, False, True, None),
    "stride_zero": (X, 2, 0, 0, False, True, None),
    "stride_negative": (X, 2, -2, 0, False, True, None),
    "stride_three": (X, 2, (1, 1, 1), 0, False, True, None),
    "padding_negative": (X, 2, None, -1, False, True, None),
    "padding_beyond_half": (X, 3, None, 2, False, True, None),
    "padding_three": (X, 2, None, (1, 1, 1), False, True, None),
    "ceil_mode_int": (X, 2, None, 0, 1, True, None),
    "count_include_pad_int": (X, 2, None, 0, False, 1, None),
    "divisor_zero": (X, 2, None, 0, False, True, 0),
    "divisor_float": (X, 2, None, 0, False, True, 2.0),
    "divisor_bool": (X, 2, None, 0, False, True, True),
}

ADAPTIVE_AVG_POOL2D = {
    "input_2d": (t(8, 8), 2),
    "input_2d_pair": (t(8, 8), (2, 2)),
    "input_5d": (t(1, 2, 4, 8, 8), 2),
    "input_none": (None, 2),
    "int64": (X.long(), 2),
    "bool": (X.bool(), 2),
    "complex": (X.cfloat(), 2),
    "no_rows": (t(2, 4, 0, 8), 2),
    "output_three": (X, (1, 1, 1)),
    "output_empty": (X, ()),
    "output_negative": (X, -1),
    "output_negative_pair": (X, (-1, -1)),
    "output_one_negative": (X, (2, -1)),
    "output_float": (X, 2.0),
    "output_float_pair": (X, (2.0, 2)),
    "output_none": (X, None),
    "output_string": (X, "2"),
    "output_1_tuple_of_none": (X, (None,)),
}


@pytest.mark.parametrize("name", CONV2D)
def test_conv2d(name: str):
    check_same(functional.conv2d, F.conv2d, *CONV2D[name])


@pytest.mark.parametrize("name", CONV2D)
def test_conv2d_that_requires_grad(name: str):
    args = [
        a.detach().requires_grad_() if isinstance(a, torch.Tensor) and a.is_floating_point() else a
        for a in CONV2D[name]
    ]
    check_same(functional.conv2d, F.conv2d, *args)


@pytest.mark.parametrize("name", CONV2D)
def test_conv2d_after_equal_good_calls(name: str):
    """1.0 == 1 == True: what a good call left in a cache must not let a wrong one through."""
    for numbers in ((1, 0, 1), ((1, 1), (0, 0), (1, 1))):
        functional.conv2d(X, W, None, *numbers, 1)
    check_same(functional.conv2d, F.conv2d, *CONV2D[name])


@pytest.mark.parametrize(
    "wrong",
    [
        {"stride": (1.0, 1.0)},
        {"stride": (True, True)},
        {"padding": (0.0, 0.0)},
        {"padding": (False, False)},
        {"dilation": (1.0, 1)},
        {"groups": 1.0},
        {"groups": True},
        {"stride": 1.0},
    ],
    ids=repr,
)
def test_conv2d_wrong_then_good_then_wrong(wrong: dict):
    defaults = {"bias": None, "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    x, w = t(1, 2, 5, 5), t(3, 2, 2, 2)
    good, bad = (x, w, *defaults.values()), (x, w, *{**defaults, **wrong}.values())
    for _ in range(2):
        functional.conv2d(*good)
        check_same(functional.conv2d, F.conv2d, *bad)


@pytest.mark.parametrize("return_indices", [False, True])
@pytest.mark.parametrize("name", MAX_POOL2D)
def test_max_pool2d(name: str, return_indices: bool):
    args = (*MAX_POOL2D[name], return_indices)
    check_same(functional.max_pool2d, F.max_pool2d, *args)


@pytest.mark.parametrize("name", AVG_POOL2D)
def test_avg_pool2d(name: str):
    check_same(functional.avg_pool2d, F.avg_pool2d, *AVG_POOL2D[name])


@pytest.mark.parametrize("name", ADAPTIVE_AVG_POOL2D)
def test_adaptive_avg_pool2d(name: str):
    check_same(functional.adaptive_avg_pool2d, F.adaptive_avg_pool2d, *ADAPTIVE_AVG_POOL2D[name])


@pytest.mark.parametrize(
    ("function", "good", "wrong"),
    [
        ("max_pool2d", ((2, 2), (1, 1)), ((2.0, 2.0), (1, 1))),
        ("max_pool2d", ((2, 2), (1, 1)), ((2, 2), (True, True))),
        ("max_pool2d", (2, 1, 0, 1, True), (2, 1, 0, 1, 1)),
        ("avg_pool2d", ((2, 2), (1, 1)), ((2, 2), (1.0, 1))),
        ("avg_pool2d", (2, 1, 0, False, True, 1), (2, 1, 0, False, True, 1.0)),
        ("adaptive_avg_pool2d", ((2, 1),), ((2.0, 1),)),
    ],
)
def test_pools_wrong_then_good_then_wrong(function: str, good: tuple, wrong: tuple):
    ours, torchs = getattr(functional, function), getattr(F, function)
    x = t(1, 2, 5, 5)
    for _ in range(2):
        ours(x, *good)
        check_same(ours, torchs, x, *wrong)


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
    """What a TypeError says but for how the call was written: by position or by keyword."""
    return re.sub(r" - got .*| \(position \d+\)", "", message, flags=re.S)


@pytest.mark.parametrize("name", AS_CALLED)
def test_keywords_and_defaults(name: str):
    function, args, kwargs = AS_CALLED[name]
    expected = raised(getattr(F, function), *args, **kwargs)
    got = raised(getattr(functional, function), *args, **kwargs)
    assert type(got) is type(expected)
    assert without_echo(str(got)) == without_echo(str(expected))


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


# ---- backward ---------------------------------------------------------------------------------


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


# ---- modules ----------------------------------------------------------------------------------

CONSTRUCTORS = {
    "groups_zero": ("Conv2d", (4, 6, 3), {"groups": 0}),
    "groups_negative": ("Conv2d", (4, 6, 3), {"groups": -1}),
    "groups_do_not_divide_inputs": ("Conv2d", (4, 6, 3), {"groups": 3}),
    "groups_do_not_divide_outputs": ("Conv2d", (4, 6, 3), {"groups": 4}),
    "padding_word": ("Conv2d", (4, 6, 3), {"padding": "foo"}),
    "padding_same_strided": ("Conv2d", (4, 6, 3), {"padding": "same", "stride": 2}),
    "outputs_negative": ("Conv2d", (4, -6, 3), {}),
    "kernel_float": ("Conv2d", (4, 6, 3.5), {}),
    "kernel_missing": ("Conv2d", (4, 6), {}),
    "unknown_keyword": ("Conv2d", (4, 6, 3), {"kernel": 1}),
    "max_kernel_missing": ("MaxPool2d", (), {}),
    "avg_unknown_keyword": ("AvgPool2d", (2,), {"dilation": 1}),
    "adaptive_output_missing": ("AdaptiveAvgPool2d", (), {}),
}


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_constructor(name: str):
    module, args, kwargs = CONSTRUCTORS[name]
    check_same(getattr(fastconv, module), getattr(torch.nn, module), *args, **kwargs)


def test_constructor_padding_mode():
    """torch prints a set: the words in any order."""
    errors = [raised(c, 4, 6, 3, padding_mode="xyz") for c in (fastconv.Conv2d, torch.nn.Conv2d)]
    assert type(errors[0]) is type(errors[1]) is ValueError
    assert sorted(str(errors[0])) == sorted(str(errors[1]))
    assert str(errors[0]).endswith("but got padding_mode='xyz'")


# name: (module, arguments of the constructor, keywords, input)
FORWARDS = {
    "channels": ("Conv2d", (4, 6, 3), {}, t(2, 3, 8, 8)),
    "unbatched_channels": ("Conv2d", (4, 6, 3), {}, t(3, 8, 8)),
    "dims": ("Conv2d", (4, 6, 3), {}, t(8, 8)),
    "double_input": ("Conv2d", (4, 6, 3), {}, t(2, 4, 8, 8, dtype=torch.float64)),
    "double_module": ("Conv2d", (4, 6, 3), {"dtype": torch.float64}, X),
    "kernel_beyond_image": ("Conv2d", (4, 6, 9), {}, X),
    "stride_zero": ("Conv2d", (4, 6, 3), {"stride": 0}, X),
    "stride_float": ("Conv2d", (4, 6, 3), {"stride": 1.5}, X),
    "padding_negative": ("Conv2d", (4, 6, 3), {"padding": -1}, X),
    "reflect_too_far": ("Conv2d", (4, 6, 3), {"padding": 8, "padding_mode": "reflect"}, X),
    "circular_too_far": ("Conv2d", (4, 6, 3), {"padding": 9, "padding_mode": "circular"}, X),
    "reflect_negative": ("Conv2d", (4, 6, 3), {"padding": -3, "padding_mode": "zeros"}, X),
    "none": ("Conv2d", (4, 6, 3), {}, None),
    "max_dims": ("MaxPool2d", (2,), {}, t(8, 8)),
    "max_kernel_float": ("MaxPool2d", (2.0,), {}, X),
    "max_padding": ("MaxPool2d", (2,), {"padding": 2}, X),
    "max_indices_padding": ("MaxPool2d", (2,), {"padding": 2, "return_indices": True}, X),
    "max_ceil_mode_int": ("MaxPool2d", (2,), {"ceil_mode": 1}, X),
    "max_dilation": ("MaxPool2d", (2,), {"dilation": 0}, X),
    "avg_dims": ("AvgPool2d", (2,), {}, t(8, 8)),
    "avg_divisor": ("AvgPool2d", (2,), {"divisor_override": 0}, X),
    "avg_stride": ("AvgPool2d", (2,), {"stride": (1, 1, 1)}, X),
    "adaptive_dims": ("AdaptiveAvgPool2d", (2,), {}, t(8, 8)),
    "adaptive_negative": ("AdaptiveAvgPool2d", (-1,), {}, X),
}


@pytest.mark.parametrize("name", FORWARDS)
def test_module_forward(name: str):
    module, args, kwargs, x = FORWARDS[name]
    errors = [
        raised(getattr(package, module)(*args, **kwargs).forward, x)
        for package in (fastconv, torch.nn)
    ]
    assert type(errors[0]) is type(errors[1]), errors
    assert str(errors[0]) == str(errors[1])
