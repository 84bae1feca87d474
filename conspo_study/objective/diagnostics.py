"""Metrics of a batch of groups that mean the same for every objective."""

from __future__ import annotations

import torch
from torch import Tensor

from conspo_study.objective.base import GroupBatch, mean_of
from conspo_study.records import Mean


@torch.no_grad()
def score_metrics(batch: GroupBatch) -> dict[str, Mean]:
    """How well the scores s = mean log-probability separate correct from wrong rollouts.

    `score_positive`, `score_negative` and `score_gap` are means over groups of the group's means;
    `pairwise_accuracy` is the share of (correct, wrong) pairs of a group that s orders rightly.
    """
    scores_B = batch.rollout_mean(batch.logprobs_T.detach())
    correct_B = batch.correct_B.to(scores_B.dtype)
    negatives_Q = batch.sizes_Q - batch.positives_Q
    positive_Q = batch.group_sum(scores_B * correct_B) / batch.positives_Q
    negative_Q = batch.group_sum(scores_B * (1 - correct_B)) / negatives_Q
    # Empty slots hold -inf, below every score: they are no pairs.
    wrong_BG = batch.negatives_table(scores_B)[batch.group_B]
    below_BG = (wrong_BG < scores_B[:, None]) & wrong_BG.isfinite()
    ordered_Q = batch.group_sum(below_BG.sum(1) * batch.correct_B)
    return {
        "score_positive": mean_of(positive_Q),
        "score_negative": mean_of(negative_Q),
        "score_gap": mean_of(positive_Q - negative_Q),
        "pairwise_accuracy": mean_of(ordered_Q / (batch.positives_Q * negatives_Q)),
    }


@torch.no_grad()
def ratio_metrics(batch: GroupBatch) -> dict[str, Mean]:
    """Distance of the policy from the one that sampled, as means over the tokens.

    `kl_old_k1` = mean(-d) and `kl_old_k3` = mean(e^d - 1 - d), d = log pi_theta - log pi_old.
    """
    d_T = batch.log_ratio_T.detach().double()
    return {"kl_old_k1": mean_of(-d_T), "kl_old_k3": mean_of(torch.expm1(d_T) - d_T)}


@torch.no_grad()
def mismatch_metrics(trainer_T: Tensor, sampler_T: Tensor) -> dict[str, Mean]:
    """Disagreement of the trainer and the sampler about the same tokens under equal weights.

    `mismatch_kl` = mean(rho - 1 - log rho) with rho = trainer / sampler (k3), and `mismatch_abs`,
    the mean absolute difference of log-probabilities in nats.
    """
    d_T = (trainer_T.detach() - sampler_T.to(trainer_T.device)).double()
    return {
        "mismatch_kl": mean_of(torch.expm1(d_T) - d_T),
        "mismatch_abs": mean_of(d_T.abs()),
    }
