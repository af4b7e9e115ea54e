"""Modes, subclasses and wrappers that override torch's functions see those of our layers, too; what
falls back ends in our kernels, or is left to torch and counted.
"""

from contextlib import nullcontext

import pytest
import torch
from seen import Operators
from tensors import whole
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

import fastconv
from fastconv import functional

F = nn.functional
X = whole(2, 3, 6, 6)

# name: (layer, arguments, input, torch's function, our operators)
LAYERS = {
    "conv1d": ("Conv1d", (3, 4, 3), X[:, :, 0], F.conv1d, ["conv2d"]),
    "conv2d": ("Conv2d", (3, 4, 3), X, F.conv2d, ["conv2d"]),
    "unbatched": ("Conv2d", (3, 4, 3), X[0], F.conv2d, ["conv2d"]),
    "max": ("MaxPool2d", (2,), X, F.max_pool2d, ["max_pool2d"]),
    "max_indices": (
        "MaxPool2d", (2, None, 0, 1, True), X, F.max_pool2d_with_indices,
        ["max_pool2d", "max_pool2d_indices"],
    ),
    "avg": ("AvgPool2d", (2,), X, F.avg_pool2d, ["avg_pool2d"]),
    "adaptive": ("AdaptiveAvgPool2d", (2,), X, F.adaptive_avg_pool2d, ["adaptive_avg_pool2d"]),
}  # fmt: skip
# torch 2.4 makes no subclass of a result inside of a dispatch mode, of its own layers' neither.
OLD = torch.__version__ < "2.5"
pytestmark = pytest.mark.usefixtures("no_handovers")


def layers(name: str) -> tuple[nn.Module, nn.Module]:
    """Ours and torch's, with the same whole numbers for weights."""
    layer, args, *_ = LAYERS[name]
    ours, torchs = (getattr(p, layer)(*args).double() for p in (fastconv, nn))
    for mine, theirs in zip(ours.parameters(), torchs.parameters(), strict=True):
        mine.data = theirs.data = whole(*mine.shape)
    return ours, torchs


class Wrapper:
    """Not a Tensor: holds one, and has a table of functions."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.calls: list = []

    def dim(self) -> int:
        return self.tensor.dim()

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function not in {layer[3] for layer in LAYERS.values()}:
            return NotImplemented
        (wrapper,) = (a for a in args if isinstance(a, Wrapper))
        wrapper.calls.append(function)
        unwrapped = pytree.tree_map(lambda a: a.tensor if isinstance(a, Wrapper) else a, args)
        return function(*unwrapped, **(kwargs or {}))


class Sub(Tensor):
    """Falls back to torch in everything."""


class Table(Tensor):
    """Overrides some functions, and falls back in others."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function in {layer[3] for layer in LAYERS.values()}:
            return function
        return super().__torch_function__(function, types, args, kwargs or {})


class Mode(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.calls.append((function, types, len(args), *sorted(kwargs or {})))
        return function(*args, **(kwargs or {}))


def equal(got, want) -> bool:
    """Within rounding: numbers are whole, and Winograd of them may be 1e-15 beside."""
    return all(
        torch.allclose(torch.Tensor(g).double(), torch.Tensor(w).double(), rtol=0, atol=1e-12)
        for g, w in zip(pytree.tree_leaves(got), pytree.tree_leaves(want), strict=True)
    )


@pytest.mark.parametrize("name", LAYERS)
def test_wrappers_have_their_table_asked(name: str):
    ours, torchs = layers(name)
    mine, theirs = Wrapper(LAYERS[name][2]), Wrapper(LAYERS[name][2])
    with Operators() as seen:
        got = ours(mine)
    assert equal(got, torchs(theirs))
    assert mine.calls == theirs.calls == [LAYERS[name][3]]
    assert seen.names == LAYERS[name][4]  # unwrapped, the call came back to ours


@pytest.mark.parametrize("name", LAYERS)
def test_subclasses_have_their_table_asked(name: str):
    for layer in layers(name):
        assert layer(LAYERS[name][2].as_subclass(Table)) is LAYERS[name][3]


@pytest.mark.parametrize("name", LAYERS)
def test_subclasses_that_fall_back_end_in_our_kernels(name: str):
    ours, torchs = layers(name)
    with nullcontext() if OLD else Operators() as seen:
        got = ours(LAYERS[name][2].as_subclass(Sub))
    assert OLD or seen.names == LAYERS[name][4]
    assert all(type(t) is Sub for t in pytree.tree_leaves(got))
    assert equal(got, torchs(LAYERS[name][2]))
    assert fastconv.handovers() == {}


@pytest.mark.parametrize("name", LAYERS)
def test_modes_see_what_they_see_of_torchs_layers(name: str):
    calls = []
    for layer in layers(name):
        with Operators() as seen, Mode() as outer, Mode() as inner:
            layer(LAYERS[name][2])
        first = inner.calls[0]
        assert first[0] is LAYERS[name][3] and first in outer.calls
        calls.append([c for c in inner.calls if c[0] is first[0]])
        if type(layer).__module__.startswith("fastconv"):
            assert seen.names == LAYERS[name][4]
    assert calls[0] == calls[1] and len(calls[0]) == 1


def test_a_weight_that_overrides():
    w = whole(1, 3, 2, 2)
    assert type(functional.conv2d(X, w.as_subclass(Sub))) is Sub
    assert functional.conv2d(X, w.as_subclass(Table)) is F.conv2d
    assert functional.conv2d(X, w, w[0, 0, 0, :1].as_subclass(Table)) is F.conv2d


def test_a_mode_before_a_subclass():
    w = whole(1, 3, 2, 2)
    with Mode() as mode, nullcontext() if OLD else Operators() as seen:
        y = functional.conv2d(X.as_subclass(Sub), w)
    assert mode.calls[0][:2] == (F.conv2d, (Sub,)) and type(y) is Sub
    assert OLD or seen.names == ["conv2d"]


def test_gradients_through_a_subclass():
    gradients = []
    for function in (functional.conv2d, F.conv2d):
        w = whole(1, 3, 2, 2).requires_grad_()
        function(X.as_subclass(Sub), w).sum().backward()
        gradients.append(w.grad)
    assert equal(*gradients)


def test_what_the_kernels_do_not_take_is_counted():
    x, w = X.long().as_subclass(Sub), whole(1, 3, 2, 2).long()
    assert equal(functional.conv2d(x, w), F.conv2d(x, w))
    assert fastconv.handovers() == {("conv2d", "dtype"): 1}


class Refuses(Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return NotImplemented


def test_errors_are_torchs_and_leave_the_modes_as_they_were():
    wrong, w = whole(1, 2, 6, 6), whole(1, 3, 2, 2)
    for x in (X.as_subclass(Refuses), wrong.as_subclass(Sub)):
        errors = []
        for function in (functional.conv2d, F.conv2d):
            with Mode() as outer, Mode() as inner:
                before = torch._C._len_torch_function_stack()
                with pytest.raises((TypeError, RuntimeError)) as raised:
                    function(x, w)
                assert torch._C._len_torch_function_stack() == before
                assert torch.overrides._get_current_function_mode() is inner
                outer.calls.clear()
            lines = str(raised.value).splitlines()  # a list of all who refused is among them
            errors.append((raised.type, *(t for t in lines if "overrides._Return" not in t)))
        assert errors[0] == errors[1]


def test_other_functions_inside_a_handler_stay_torchs():
    class Pools(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function is F.conv2d:
                return F.avg_pool2d(args[0], 2)
            return function(*args, **(kwargs or {}))

    w = whole(1, 3, 2, 2)
    with Operators() as seen, Pools():
        y = functional.conv2d(X, w)
    assert seen.names == [] and equal(y, F.avg_pool2d(X, 2))


def test_default_device_counts_as_a_mode():
    with torch.device("cpu"), Operators() as seen:
        functional.conv2d(X, whole(1, 3, 2, 2))
    assert seen.names == ["conv2d"]


def test_modes_in_compiled_code(fresh_compiler):
    compiled = torch.compile(functional.conv2d, backend="eager", fullgraph=True)
    with Mode():
        assert equal(compiled(X, whole(1, 3, 2, 2)), F.conv2d(X, whole(1, 3, 2, 2)))
