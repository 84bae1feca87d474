"""Gradient checkpointing: recomputes the activations of a layer instead of storing them.

transformers does so only for layers in training mode, which would also enable dropout. Here a
policy is never in training mode; only its layers are marked so, and only during a forward pass that
would store activations.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from conspo_study.policy.errors import PolicyError


def enable_recomputing(model: PreTrainedModel) -> None:
    """Enable `recomputing_layers` for a model. Raises PolicyError if the model does not support
    it."""
    if not model.supports_gradient_checkpointing or not any(_layers(model)):
        raise PolicyError(
            f"{type(model).__name__} does not support gradient checkpointing: set "
            "policy.gradient_checkpointing=false"
        )
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


@contextmanager
def recomputing_layers(model: PreTrainedModel) -> Iterator[None]:
    """Inside the block, a forward pass stores only the inputs of layers for which recomputing is
    enabled; other models, and passes without gradients, are unaffected."""
    chosen = [
        layer
        for layer in (_layers(model) if torch.is_grad_enabled() else ())
        if layer.gradient_checkpointing and not layer.training
    ]
    for layer in chosen:
        layer.training = True  # only the layer's flag; `train()` would enable its dropout
    try:
        yield
    finally:
        for layer in chosen:
            layer.training = False


def _layers(model: PreTrainedModel) -> Iterator[GradientCheckpointingLayer]:
    return (m for m in model.modules() if isinstance(m, GradientCheckpointingLayer))
