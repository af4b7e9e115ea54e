"""Modules wrongly made or called: the class and the very words of torch's own exception."""

import numpy as np
import pytest
import torch
from wrong_calls import X, check_same, raised, t

import fastconv

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


@pytest.mark.parametrize("name", ["ConvTranspose1d", "ConvTranspose2d"])
def test_padding_mode_of_a_transposed_convolution(name: str):
    layers = [getattr(package, name)(4, 6, 3) for package in (fastconv, torch.nn)]
    for layer in layers:
        layer.padding_mode = "reflect"  # the constructor takes no other than zeros
    x = X[:, :, 0] if name.endswith("1d") else X
    errors = [raised(layer, x) for layer in layers]
    assert type(errors[0]) is type(errors[1]) is ValueError
    assert str(errors[0]) == str(errors[1])


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
    "adaptive_1_tuple": ("AdaptiveAvgPool2d", ((7,),), {}, X),
    "adaptive_numpy": ("AdaptiveAvgPool2d", (np.int64(2),), {}, X),
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
