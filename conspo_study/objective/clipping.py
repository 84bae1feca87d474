"""The clipped surrogate of PPO, by token or by sequence, and how often it clips.

Not included: the dual clip that verl's "vanilla" loss always adds (for A < 0 a loss of at most
3 |A|), which no paper of the objectives here has.
"""

from __future__ import annotations

import torch
from torch import Tensor

from conspo_study.objective.batch import GroupBatch
from conspo_study.objective.output import mean_of
from conspo_study.records import Part


def surrogate(ratio: Tensor, advantages: Tensor, clip_low: float, clip_high: float) -> Tensor:
    """-min(rho A, clip(rho, 1 - clip_low, 1 + clip_high) A), entry by entry."""
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    return -torch.minimum(ratio * advantages, clipped * advantages)


def token_surrogate(
    batch: GroupBatch, advantages_B: Tensor, clip_low: float, clip_high: float
) -> Tensor:
    """The surrogate of each token, with the batch's importance correction: [B] -> [T]."""
    advantages_T = advantages_B[batch.rollout_T]
    return batch.corrected(surrogate(batch.ratio_T, advantages_T, clip_low, clip_high))


@torch.no_grad()
def clip_metrics(
    ratio: Tensor, advantages: Tensor, clip_low: float, clip_high: float
) -> dict[str, Part]:
    """Shares of entries whose gradient the clip removes, above and below."""
    return {
        "clip_fraction_high": mean_of((ratio > 1 + clip_high) & (advantages > 0)),
        "clip_fraction_low": mean_of((ratio < 1 - clip_low) & (advantages < 0)),
    }
