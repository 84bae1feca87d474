"""ConSPO's ablation that keeps GRPO's scores (arXiv 2605.12969, table 6): InfoNCE on ratios.

    s+ = mean_t min(rho_t, 1 + clip_high) of correct rollouts
    s- = mean_t max(rho_t, 1 - clip_low)  of wrong ones

in place of log-likelihoods, contrasted as ConSPO does. A clipped token has no gradient, a live one
rho/T. All scores are 1 on-policy, so there every rollout of a sign gets the same credit. The paper
does not say which temperature, margin and clips it used: the defaults are ConSPO's and GRPO's.
"""

from __future__ import annotations

import torch

from conspo_study.config import ConSPOClippedRatioOptions
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.conspo import contrast
from conspo_study.objective.output import ObjectiveOutput, mean_of
from conspo_study.objective.registry import register


@register(ConSPOClippedRatioOptions)
def conspo_clipped_ratio(
    batch: GroupBatch, options: ConSPOClippedRatioOptions, progress: Progress
) -> ObjectiveOutput:
    """loss = -(1/Q) sum of ConSPO's J on these scores."""
    upper, lower = 1 + options.clip_high, 1 - options.clip_low
    correct_T = batch.correct_B[batch.rollout_T]
    ratio_T = batch.ratio_T
    clipped_T = torch.where(correct_T, ratio_T.clamp(max=upper), ratio_T.clamp(min=lower))
    output = contrast(batch, batch.rollout_mean(clipped_T), options, progress)
    metrics = {
        "clip_fraction_high": mean_of((ratio_T.detach() > upper) & correct_T),
        "clip_fraction_low": mean_of((ratio_T.detach() < lower) & ~correct_T),
    }
    return ObjectiveOutput(output.loss, output.metrics | metrics)
