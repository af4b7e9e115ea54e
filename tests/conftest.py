"""Fixtures of the suite: seeds, and the state that torch and fastconv keep between calls."""

import pytest
import torch

import fastconv


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def no_handovers():
    """The count of calls handed to torch starts, and ends, at none."""
    fastconv.handovers(reset=True)
    yield
    fastconv.handovers(reset=True)


@pytest.fixture
def fresh_compiler():
    """Without graphs that torch.compile has made for other tests."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
