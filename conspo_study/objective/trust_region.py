"""Trust regions for the objectives on log-likelihoods. They are ours, not the ConSPO paper's.

ConSPO has no ratio: several optimiser steps on one rollout batch move its scores without any limit.
Two limits, each off unless it is set:

`clip_score` clips the score as PPO clips a ratio. With s_old the score of the rollout under the
policy that sampled, and d = s - s_old its mean log-ratio,

    correct:  s' = min(s, s_old + clip_score)        wrong:  s' = max(s, s_old - clip_score)

take the place of s. The objective rises with the scores of correct rollouts and falls with those of
wrong ones, so J(s') <= J(s): a pessimistic bound, as PPO's minimum is. A rollout whose score has
moved by more than `clip_score` nats per token the way its credit pushes it has no gradient, until
others bring it back; a score that has moved the other way keeps its gradient.

`kl_limit` and `kl_penalty` are DisCO's penalty on the KL of the whole step (`kl_hinge`).

On the weights that sampled, d and KL are 0: the first optimiser step on a rollout batch is that of
the objective without these options, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from conspo_study.config import TrustRegionOptions
from conspo_study.objective.batch import GroupBatch
from conspo_study.objective.kl_hinge import KLHinge
from conspo_study.objective.output import ObjectiveOutput, mean_of
from conspo_study.records import Part


def on_trusted_scores(
    batch: GroupBatch,
    options: TrustRegionOptions,
    contrast: Callable[[Tensor], ObjectiveOutput],
    credits: Callable[[Tensor], Tensor],
) -> ObjectiveOutput:
    """An objective on the mean log-probabilities of the rollouts, within its trust region.

    contrast: the objective of scores [B]. credits: its dJ/ds at scores, for each group: [B] -> [B].
    """
    scores_B = batch.rollout_mean(batch.logprobs_T)
    metrics: dict[str, Part] = {}
    clipped_B = None
    if options.clip_score is not None:
        scores_B, clipped_B = clipped_scores(batch, scores_B, options.clip_score)
        metrics["score_clip_fraction"] = mean_of(clipped_B)
    output = contrast(scores_B)
    loss = output.loss
    if options.kl_limit is not None and options.limits_kl:
        with torch.no_grad():
            sizes_B = credits(scores_B.detach()).abs()
            if clipped_B is not None:
                sizes_B = sizes_B.masked_fill(clipped_B, 0.0)
        hinge = KLHinge(options.kl_limit, options.kl_penalty)
        loss, constraint = hinge.add(loss, batch, options.name, sizes_B)
        metrics |= constraint
    return ObjectiveOutput(loss, output.metrics | metrics)


def clipped_scores(batch: GroupBatch, scores_B: Tensor, clip_score: float) -> tuple[Tensor, Tensor]:
    """s' of each rollout, constant where it is clipped, and whether it is: [B], [B]."""
    with torch.no_grad():
        moved_B = batch.rollout_mean(batch.log_ratio_T)
        clipped_B = torch.where(batch.correct_B, moved_B > clip_score, moved_B < -clip_score)
        sign_B = batch.correct_B.to(scores_B.dtype) * 2 - 1
        bound_B = batch.rollout_mean(batch.old_logprobs_T) + sign_B * clip_score
    return torch.where(clipped_B, bound_B, scores_B), clipped_B
