"""Tiny models for the engine's tests."""

import pytest
import torch
from tiny_models import FAMILIES, random_model


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=[*FAMILIES, "fused Llama"])
def model(request):
    """A randomly initialised model of each family, and one that is decoded by fused steps."""
    if request.param == "fused Llama":
        return random_model("Llama", num_key_value_heads=4)
    return random_model(request.param)
