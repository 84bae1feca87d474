"""GRPO (DeepSeekMath, arXiv 2402.03300, section 4.1) without its KL term, as RLVR baselines run it.

    l_it = -min(rho_it A_i, clip(rho_it, 1 - clip_low, 1 + clip_high) A_i)
    A_i = (r_i - mean r) / (std r + epsilon),   r in {0, 1}

The mean is over the tokens of a rollout, then over rollouts, as in the paper. verl's example
scripts for GRPO take one mean over tokens instead, and TRL's default loss is DAPO's: both are
`dapo` with clip_high 0.2 here.
"""

from __future__ import annotations

from torch import Tensor

from conspo_study.config import GRPOOptions
from conspo_study.objective.advantages import advantage_metrics, normalised_advantages
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.clipping import clip_metrics, token_surrogate
from conspo_study.objective.output import ObjectiveOutput
from conspo_study.objective.registry import register


@register(GRPOOptions)
def grpo(batch: GroupBatch, options: GRPOOptions, _: Progress) -> ObjectiveOutput:
    """loss = (1/B) sum over rollouts of the mean over their tokens of l."""
    low, high = options.clip_low, options.clip_high
    advantages_B = normalised_advantages(batch, options)
    loss = rollout_losses(batch, advantages_B, options).sum() / batch.totals.rollouts
    metrics = clip_metrics(batch.ratio_T, advantages_B[batch.rollout_T], low, high)
    return ObjectiveOutput(loss, metrics | advantage_metrics(advantages_B), advantages_B)


def rollout_losses(batch: GroupBatch, advantages_B: Tensor, options: GRPOOptions) -> Tensor:
    """The mean over the tokens of each rollout of l: [B] -> [B]."""
    loss_T = token_surrogate(batch, advantages_B, options.clip_low, options.clip_high)
    return batch.rollout_mean(loss_T)
