"""Gradient checkpointing: activations of a layer are computed again instead of kept.

transformers does so in layers that are in training mode only, where dropout would act too. Here a
policy is never in training mode: the layers alone are, and only while activations would be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from conspo_study.policy.errors import PolicyError


def enable_recomputing(model: Any) -> None:
    """Let `recomputing_layers` act on this model. Raises PolicyError where it cannot."""
    if not model.supports_gradient_checkpointing or not any(_layers(model)):
        raise PolicyError(
            f"{type(model).__name__} has no gradient checkpointing: set "
            "policy.gradient_checkpointing to false"
        )
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


@contextmanager
def recomputing_layers(model: Any) -> Iterator[None]:
    """A forward pass inside the block keeps the inputs of enabled layers only; others are left
    alone, and so is everything without gradients."""
    chosen = [
        layer
        for layer in (_layers(model) if torch.is_grad_enabled() else ())
        if layer.gradient_checkpointing and not layer.training
    ]
    for layer in chosen:
        layer.training = True  # the layer's own switch; `train()` would reach its dropout
    try:
        yield
    finally:
        for layer in chosen:
            layer.training = False


def _layers(model: Any) -> Iterator[GradientCheckpointingLayer]:
    return (m for m in model.modules() if isinstance(m, GradientCheckpointingLayer))
