"""Wrong arguments of the functions that make calls of conv2d and of pools of images: errors are
torch's."""

import pytest
import torch

from fastconv import functional

F = torch.nn.functional

X = {"1": torch.ones(2, 4, 9), "2": torch.ones(2, 4, 9, 9), "3": torch.ones(2, 4, 9, 9, 9)}
WRONG = {
    "channels": lambda f, n: f(X[n], torch.ones(3, 4, *[3] * int(n))),
    "dimensions": lambda f, n: f(X[n][0, 0], torch.ones(4, 4, *[3] * int(n))),
    "output_padding": lambda f, n: f(X[n], torch.ones(4, 4, *[3] * int(n)), None, 2, 0, 2),
    "stride": lambda f, n: f(X[n], torch.ones(4, 4, *[3] * int(n)), stride=0),
    "negative": lambda f, n: f(X[n], torch.ones(4, 4, *[3] * int(n)), padding=-1),
    "bias": lambda f, n: f(X[n], torch.ones(4, 4, *[3] * int(n)), torch.ones(3)),
    "types": lambda f, n: f(X[n], torch.ones(4, 4, *[3] * int(n)).double()),
    "strings": lambda f, n: f(X[n], torch.ones(4, 4, *[3] * int(n)), padding="all"),
    "numbers": lambda f, n: f(X[n], torch.ones(4, 4, *[3] * int(n)), groups=1.5),
    "nothing": lambda f, n: f(X[n], None),
}
WRONG_POOLS = {
    "kernel": lambda f, n: f(X[n], 0),
    "too_large": lambda f, n: f(X[n], 99),
    "padding": lambda f, n: f(X[n], 2, 1, 2),
    "tuple": lambda f, n: f(X[n], (2,) * 4),
    "text": lambda f, n: f(X[n], "2"),
    "dimensions": lambda f, n: f(X[n][0, 0, 0], 2),
    "stride": lambda f, n: f(X[n], 2, 0),
}


def said(call, function, dimensions: str) -> tuple:
    try:
        call(function, dimensions)
    except TypeError:  # its words tell keywords from positions, which differ when passed on
        return TypeError, ""
    except Exception as error:
        return type(error), str(error)
    return None, ""


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", ["conv_transpose1d", "conv_transpose2d", "conv3d"])
def test_wrong_convolutions_say_what_torch_says(name: str, wrong: str):
    n = name[-2]
    ours = said(WRONG[wrong], getattr(functional, name), n)
    assert ours == said(WRONG[wrong], getattr(F, name), n)


@pytest.mark.parametrize("wrong", WRONG_POOLS)
@pytest.mark.parametrize("name", ["max_pool1d", "avg_pool1d", "max_pool3d", "avg_pool3d"])
def test_wrong_pools_say_what_torch_says(name: str, wrong: str):
    n = name[-2]
    ours = said(WRONG_POOLS[wrong], getattr(functional, name), n)
    assert ours == said(WRONG_POOLS[wrong], getattr(F, name), n)


@pytest.mark.parametrize(
    "name", ["adaptive_avg_pool1d", "adaptive_max_pool1d", "adaptive_avg_pool3d"]
)
@pytest.mark.parametrize("size", [0, -1, (2, 2), "2", None, 1.5, (True,)], ids=str)
def test_wrong_adaptive_pools_say_what_torch_says(name: str, size):
    def call(function, n):
        return function(X[n], size)

    n = name[-2]
    assert said(call, getattr(functional, name), n) == said(call, getattr(F, name), n)
