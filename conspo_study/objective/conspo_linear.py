"""ConSPO's ablation without InfoNCE (arXiv 2605.12969, table 6): the linear score difference.

    J = mean of s over correct rollouts - mean of s over wrong ones,   s = mean_t log pi_theta

Every rollout of a sign gets the same credit, however well it is separated, as under GRPO. It is
DisCO-b on log-likelihoods without its constraint.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from conspo_study.config import ConSPOLinearOptions
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.output import ObjectiveOutput
from conspo_study.objective.registry import register
from conspo_study.objective.trust_region import on_trusted_scores


@register(ConSPOLinearOptions)
def conspo_linear(
    batch: GroupBatch, options: ConSPOLinearOptions, progress: Progress
) -> ObjectiveOutput:
    """loss = -(1/Q) sum of J over the Q valid groups of the step."""
    return on_trusted_scores(
        batch, options, partial(linear_contrast, batch), lambda _: linear_credits(batch)
    )


def linear_contrast(batch: GroupBatch, scores_B: Tensor) -> ObjectiveOutput:
    """The loss of the step for any scores."""
    correct_Q, wrong_Q = batch.group_means(batch.centered(scores_B))
    return ObjectiveOutput(-(correct_Q - wrong_Q).sum() / batch.totals.groups, metrics={})


def linear_credits(batch: GroupBatch) -> Tensor:
    """dJ/ds of each rollout, 1/N+ of a correct and -1/N- of a wrong one: [B]."""
    positive_B = 1 / batch.positives_Q.double()[batch.group_B]
    return torch.where(batch.correct_B, positive_B, -1 / batch.negatives_Q.double()[batch.group_B])
