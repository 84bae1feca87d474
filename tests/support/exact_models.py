"""Models that compute in float64 throughout, for what is claimed to be exact.

transformers rounds norms and rotary angles to float32 whatever the type of a model. A last bit that
differs before such a rounding may come out of it as 1e-7, on one machine and not on another.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from tiny_models import random_model


def exact_model(family: str, seed: int = 0, **settings: Any) -> Any:
    """`random_model` in float64, with norms and rotary angles in float64 too."""
    return exact(random_model(family, seed, **settings))


def exact(model: Any) -> Any:
    """The model itself, made to compute in float64 throughout. Eager attention is left as it is:
    its softmax stays in float32."""
    for module in model.double().modules():
        kind = type(module).__name__
        if kind.endswith("RMSNorm"):
            module.forward = MethodType(_normalised, module)
        elif kind.endswith("RotaryEmbedding"):
            module.forward = MethodType(_turned, module)
    return model


def _normalised(norm: Any, x: torch.Tensor) -> torch.Tensor:
    squares = x.square().mean(dim=-1, keepdim=True)
    return norm.weight * x * torch.rsqrt(squares + norm.variance_epsilon)


def _turned(
    rotary: Any, x: torch.Tensor, position_ids: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    angles = position_ids[..., None].double() * rotary.inv_freq.double()
    both = torch.cat([angles, angles], dim=-1)
    return both.cos() * rotary.attention_scaling, both.sin() * rotary.attention_scaling
