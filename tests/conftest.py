"""Fixtures of the suite: seeds, and the instruction set under test."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
