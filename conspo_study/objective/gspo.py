"""GSPO (arXiv 2507.18071): the clipped surrogate of the length-normalised sequence ratio.

    R_i = exp( mean over tokens of log rho )
    l_i = -min(R_i A_i, clip(R_i, 1 - clip_low, 1 + clip_high) A_i)

The clips are the authors' 3e-4 and 4e-4: sequence ratios stay much closer to 1 than token ratios.
They set them with four mini-batches per rollout batch; with a single update per batch no ratio
leaves 1 and the gradient is GRPO's. TRL warns that its sequence-level ratios with another
aggregation than GRPO's are not GSPO.
"""

from __future__ import annotations

import torch

from conspo_study.config import GSPOOptions
from conspo_study.objective.advantages import advantage_metrics, normalised_advantages
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.clipping import surrogate
from conspo_study.objective.output import ObjectiveOutput, mean_of
from conspo_study.objective.registry import register


@register(GSPOOptions)
def gspo(batch: GroupBatch, options: GSPOOptions, _: Progress) -> ObjectiveOutput:
    """loss = (1/B) sum over rollouts of l."""
    low, high = options.clip_low, options.clip_high
    advantages_B = normalised_advantages(batch, options)
    ratio_B = batch.rollout_mean(batch.log_ratio_T).exp()
    loss = surrogate(ratio_B, advantages_B, low, high).sum() / batch.totals.rollouts
    with torch.no_grad():
        outside_B = (ratio_B < 1 - low) | (ratio_B > 1 + high)
        metrics = {"sequence_clip_fraction": mean_of(outside_B)}
    return ObjectiveOutput(loss, metrics | advantage_metrics(advantages_B), advantages_B)
