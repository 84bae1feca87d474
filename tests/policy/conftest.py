"""Tiny models for the policy's tests."""

import pytest
import torch
from tiny_models import FAMILIES, random_model


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    """A randomly initialised model of each supported family."""
    return random_model(request.param)
