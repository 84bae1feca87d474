"""ConSPO's ablation without InfoNCE (arXiv 2605.12969, table 6): the linear score difference.

    J = mean of s over correct rollouts - mean of s over wrong ones,   s = mean_t log pi_theta

Every rollout of a sign gets the same credit, however well it is separated, as under GRPO. It is
DisCO-b on log-likelihoods without its constraint.
"""

from __future__ import annotations

from conspo_study.config import ConSPOLinearOptions
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.output import ObjectiveOutput
from conspo_study.objective.registry import register


@register(ConSPOLinearOptions)
def conspo_linear(
    batch: GroupBatch, options: ConSPOLinearOptions, progress: Progress
) -> ObjectiveOutput:
    """loss = -(1/Q) sum of J over the Q valid groups of the step."""
    scores_B = batch.centered(batch.rollout_mean(batch.logprobs_T))
    correct_Q, wrong_Q = batch.group_means(scores_B)
    return ObjectiveOutput(-(correct_Q - wrong_Q).sum() / batch.totals.groups, metrics={})
