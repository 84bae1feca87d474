"""GRPO (DeepSeekMath, section 4.1) without its KL term, as RLVR baselines run it.

    l_it = -min(rho_it A_i, clip(rho_it, 1 - clip_low, 1 + clip_high) A_i)
    A_i = (r_i - mean r) / (std r + epsilon),   r in {0, 1}

Not included, because no GRPO paper has it: the dual clip that verl's "vanilla" loss always adds.
Papers write "std" without saying which; implementations use ddof 1, the default here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from conspo_study.config import GRPOOptions
from conspo_study.objective.base import GroupBatch, ObjectiveOutput, Progress, mean_of, register


@register(GRPOOptions)
def grpo(batch: GroupBatch, options: GRPOOptions, _: Progress) -> ObjectiveOutput:
    """loss = (1/B) sum over rollouts of the mean over their tokens of l."""
    advantages_B = group_advantages(batch, options.std_ddof, options.std_epsilon)
    advantages_T = advantages_B.to(batch.logprobs_T.dtype)[batch.rollout_T]
    ratio_T = batch.log_ratio_T.exp()
    clipped_T = ratio_T.clamp(1 - options.clip_low, 1 + options.clip_high)
    loss_T = -torch.minimum(ratio_T * advantages_T, clipped_T * advantages_T)
    loss = batch.rollout_mean(loss_T).sum() / batch.totals.rollouts
    with torch.no_grad():
        high = (ratio_T > 1 + options.clip_high) & (advantages_T > 0)
        low = (ratio_T < 1 - options.clip_low) & (advantages_T < 0)
        metrics = {
            "clip_fraction_high": mean_of(high),
            "clip_fraction_low": mean_of(low),
        }
    return ObjectiveOutput(loss, metrics)


def group_advantages(batch: GroupBatch, ddof: int, epsilon: float) -> Tensor:
    """(r - mean) / (std + epsilon) within each group, in float64: [B]."""
    rewards_B = batch.correct_B.double()
    mean_Q = batch.group_sum(rewards_B) / batch.sizes_Q
    centered_B = rewards_B - mean_Q[batch.group_B]
    variance_Q = batch.group_sum(centered_B**2) / (batch.sizes_Q - ddof)
    return centered_B / (variance_Q.sqrt() + epsilon)[batch.group_B]
