"""Limits on logits: the number computed at once, and models whose logits cannot be reproduced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conspo_study.policy.errors import PolicyError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CHUNK_ELEMENTS = 1 << 25
"""Maximum number of logits (tokens x vocabulary) computed at once: 128 MiB in float32. Two or three
tensors of that size exist at the peak."""
_LOGIT_TRANSFORMS = (
    *("final_logit_softcapping", "logit_scale", "logits_scaling"),
    *("lm_head_multiplier", "output_multiplier_scale"),
)
"""Config fields of models whose logits are not simply the head applied to the hidden states."""


def refuse_transformed_logits(model: PreTrainedModel) -> None:
    """Raise PolicyError for a model that caps or scales its logits after the head, because its
    log-probabilities would be wrong."""
    for name in _LOGIT_TRANSFORMS:
        value = getattr(model.config, name, None)
        if value is not None and value != 1:
            raise PolicyError(
                f"policy.model: {type(model).__name__} changes its logits after the output head "
                f"({name}={value}), which this project does not reproduce: use another model"
            )
