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
from torch import Tensor

from conspo_study.config import GSPOOptions
from conspo_study.objective.advantages import advantage_metrics, normalised_advantages
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.clipping import surrogate
from conspo_study.objective.output import ObjectiveOutput, mean_of
from conspo_study.objective.registry import register
from conspo_study.records import Part


@register(GSPOOptions)
def gspo(batch: GroupBatch, options: GSPOOptions, _: Progress) -> ObjectiveOutput:
    """loss = (1/B) sum over rollouts of l."""
    advantages_B = normalised_advantages(batch, options)
    loss_B, metrics = sequence_losses(batch, advantages_B, options.clip_low, options.clip_high)
    loss = loss_B.sum() / batch.totals.rollouts
    return ObjectiveOutput(loss, metrics | advantage_metrics(advantages_B), advantages_B)


def sequence_losses(
    batch: GroupBatch, advantages_B: Tensor, clip_low: float, clip_high: float
) -> tuple[Tensor, dict[str, Part]]:
    """l of each rollout, and the share of ratios outside the band: [B] -> [B]."""
    ratio_B = batch.rollout_mean(batch.log_ratio_T).exp()
    with torch.no_grad():
        outside_B = (ratio_B < 1 - clip_low) | (ratio_B > 1 + clip_high)
    metrics: dict[str, Part] = {"sequence_clip_fraction": mean_of(outside_B)}
    return surrogate(ratio_B, advantages_B, clip_low, clip_high), metrics
