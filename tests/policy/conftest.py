"""Tiny models for the policy's tests."""

import pytest
import torch
from exact_models import exact_model
from tiny_models import FAMILIES


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    """A randomly initialised model of each supported family, in float64."""
    return exact_model(request.param)
