"""The direction of the credits of a step: how far an objective is from its linear limit.

The gradient of an optimiser step is a sum over rollouts of credit times the gradient of the score
(`diagnostics.credits_of`). Where gradients are clipped to a norm, and Adam divides by their size,
the size of the credits is divided out and only their direction is left to act. With c the credits
of all rollouts of the step, one after the other, and l those of `conspo_linear` on the same groups
(1/N+ of a correct, -1/N- of a wrong rollout; arXiv 2605.12969, table 6),

    credit_angle        = arccos( <c, l> / (|c| |l|) )
    credit_angle_margin = arccos( <c, c0> / (|c| |c0|) ),   c0: the credits at the same tau, M = 0

in degrees. Two settings whose credits enclose an angle of 1 degree differ by 1.7 % of a step. Large
temperatures are the linear limit times N-/(1 + N-), so with groups of unequal composition, too,
their angle does not quite reach 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from conspo_study.config import ContrastiveOptions, ObjectiveOptions
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.conspo_linear import linear_credits
from conspo_study.objective.diagnostics import credits_of
from conspo_study.objective.margin import margin_at
from conspo_study.objective.output import angle_of
from conspo_study.objective.registry import Objective
from conspo_study.objective.token_weights import token_weights
from conspo_study.records import Part


def direction_metrics(
    batch: GroupBatch,
    weights_T: Tensor,
    objective: Objective,
    options: ObjectiveOptions,
    progress: Progress,
) -> dict[str, Part]:
    """`credit_angle`, and `credit_angle_margin` of an objective that has a margin.

    weights_T: d loss / d log pi of this batch's tokens, as `token_weights` gives them: [T]. Groups
    whose rollouts are all correct or all wrong have no linear limit and no part in it. An angle
    with credits that are all 0 has no value.
    """
    with torch.no_grad():
        counted_B = batch.has_verdicts_Q[batch.group_B]
        credits_B = credits_of(batch, weights_T)[counted_B]
        metrics: dict[str, Part] = {
            "credit_angle": angle_of(credits_B, linear_credits(batch)[counted_B])
        }
    if isinstance(options, ContrastiveOptions):
        without_B = credits_B
        if margin_at(options, progress.fraction):
            unshifted = options.model_copy(update={"schedule": "off"})
            without_T = token_weights(batch, objective, unshifted, progress).weights_T
            without_B = credits_of(batch, without_T)[counted_B]
        metrics["credit_angle_margin"] = angle_of(credits_B, without_B)
    return metrics
