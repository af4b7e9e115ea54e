"""Calls that fail: torch's own exception, for the same arguments, is the expectation."""

from collections.abc import Callable

import pytest
import torch

import fastconv


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
