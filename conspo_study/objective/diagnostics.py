"""Metrics of a batch of groups that exist for every objective, and credits of rollouts."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from conspo_study.config import GRPOOptions, ObjectiveOptions
from conspo_study.objective.advantages import normalised_advantages
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.grpo import rollout_losses
from conspo_study.objective.output import least_of, mean_of, peak_of
from conspo_study.objective.registry import Objective
from conspo_study.objective.token_weights import token_weights
from conspo_study.records import Correlation, Part, Quantile

RATIO_RESOLUTION = 1e-3
"""Nats to which log-ratios are rounded for quantiles, so that their counts stay few to exchange."""
LARGEST_LOG_RATIO = 50.0
"""Nats; larger log-ratios are counted as this one."""


@torch.no_grad()
def score_metrics(batch: GroupBatch) -> dict[str, Part]:
    """Separation of correct from wrong rollouts by their scores s = mean log-probability.

    `score_positive`, `score_negative` and `score_gap` are means over groups of the group's means;
    `pairwise_accuracy` is the share of (correct, wrong) pairs of a group that s orders rightly.
    Groups whose rollouts differ in their rewards alone have no part in them.
    """
    batch = batch.with_verdicts()
    if not batch.groups:
        return {}
    scores_B = batch.rollout_mean(batch.logprobs_T.detach())
    positive_Q, negative_Q = batch.group_means(scores_B)
    # Empty slots hold -inf, below every score: they are no pairs.
    wrong_BG = batch.negatives_table(scores_B)[batch.group_B]
    below_BG = (wrong_BG < scores_B[:, None]) & wrong_BG.isfinite()
    ordered_Q = batch.group_sum(below_BG.sum(1) * batch.correct_B)
    return {
        "score_positive": mean_of(positive_Q),
        "score_negative": mean_of(negative_Q),
        "score_gap": mean_of(positive_Q - negative_Q),
        "pairwise_accuracy": mean_of(ordered_Q / (batch.positives_Q * batch.negatives_Q)),
    }


@torch.no_grad()
def ratio_metrics(batch: GroupBatch) -> dict[str, Part]:
    """Distance of the policy from the one that sampled, d = log pi_theta - log pi_old.

    Over tokens: `kl_old_k1` = mean(-d), `kl_old_k3` = mean(e^d - 1 - d), and mean, ends and 99 %
    quantile of rho = e^d. Over rollouts: mean and maximum of R = e^(mean of d).
    """
    d_T = batch.log_ratio_T.detach().double()
    ratio_T = d_T.exp()
    sequence_B = batch.rollout_mean(d_T).exp()
    return {
        "kl_old_k1": mean_of(-d_T),
        "kl_old_k3": mean_of(torch.expm1(d_T) - d_T),
        "ratio_mean": mean_of(ratio_T),
        "ratio_min": least_of(ratio_T),
        "ratio_max": peak_of(ratio_T),
        "ratio_p99": ratio_quantile(d_T, 0.99),
        "sequence_ratio_mean": mean_of(sequence_B),
        "sequence_ratio_max": peak_of(sequence_B),
    }


def ratio_quantile(d_T: Tensor, share: float) -> Quantile:
    """A quantile of rho = e^d, in parts: exact for log-ratios rounded to `RATIO_RESOLUTION`.

    So rho is right to a relative 5e-4. Log-ratios beyond `LARGEST_LOG_RATIO` count as that.
    """
    largest = LARGEST_LOG_RATIO / RATIO_RESOLUTION
    steps_T = (d_T / RATIO_RESOLUTION).nan_to_num(nan=largest).clamp(-largest, largest).round()
    least = steps_T.min()
    counts = (steps_T - least).long().bincount()
    occupied = counts.nonzero().flatten()
    ratios = ((occupied + least) * RATIO_RESOLUTION).exp().tolist()
    return Quantile(share, dict(zip(ratios, counts[occupied].tolist(), strict=True)))


@torch.no_grad()
def mismatch_metrics(trainer_T: Tensor, sampler_T: Tensor) -> dict[str, Part]:
    """Disagreement of the trainer and the sampler about the same tokens under equal weights.

    `mismatch_kl` = mean(rho - 1 - log rho) with rho = trainer / sampler (k3); of the absolute
    difference of log-probabilities, in nats, `mismatch_abs` is the mean and `mismatch_max` the
    maximum; `mismatch_r` is Pearson's correlation of the log-probabilities.
    """
    x_T, y_T = trainer_T.detach().double(), sampler_T.to(trainer_T.device).double()
    d_T = x_T - y_T
    sums = (float((a * b).sum()) for a, b in ((x_T, x_T), (y_T, y_T), (x_T, y_T)))
    return {
        "mismatch_kl": mean_of(torch.expm1(d_T) - d_T),
        "mismatch_abs": mean_of(d_T.abs()),
        "mismatch_max": peak_of(d_T.abs()),
        "mismatch_r": Correlation(len(d_T), float(x_T.sum()), float(y_T.sum()), *sums),
    }


def rollout_credits(
    batch: GroupBatch, objective: Objective, options: ObjectiveOptions, progress: Progress
) -> Tensor:
    """The credit that an objective gives to each rollout; see `credits_of`: [B]."""
    return credits_of(batch, token_weights(batch, objective, options, progress).weights_T)


def credits_of(batch: GroupBatch, weights_T: Tensor) -> Tensor:
    """dJ/ds of each rollout times the number of groups, from d loss / d log pi: [T] -> [B].

    It is minus the sum of the weights of the rollout's tokens, which for a loss on scores
    s = mean log pi is the derivative by the score. Times the number of groups it does not depend on
    the batch size. Drawn against the scores it is figure 2 of the ConSPO paper.
    """
    return -batch.rollout_sum(weights_T) * batch.totals.groups


def grpo_identity_gap(batch: GroupBatch) -> float:
    """Largest deviation of GRPO from its discriminative form on any rollout; 0 up to rounding.

    Proposition 1 of the ConSPO paper: with population std, a group of G rollouts and pass rate p
    adds G sqrt(p (1 - p)) (mean of s+ over correct - mean of s- over wrong rollouts) to B times the
    objective, with the clipped ratios s+ = mean_t min(rho, 1 + eps), s- = mean_t max(rho, 1 - eps).
    Each rollout has its own term in both, so the gap is the largest difference of two terms, or of
    their derivatives by log pi summed over tokens, and does not depend on how the batch is split.
    It is about verdicts: groups that have only one kind are left out.
    """
    batch = batch.with_verdicts()
    if not batch.groups:
        return 0.0
    options = GRPOOptions(std_ddof=0, std_epsilon=0.0)
    upper, lower = 1 + options.clip_high, 1 - options.clip_low
    leaf_T = batch.logprobs_T.detach().requires_grad_()
    verdicts = replace(
        batch, logprobs_T=leaf_T, rewards_B=batch.correct_B.double(), correction_T=None
    )
    advantages_B = normalised_advantages(verdicts, options)
    losses_B = rollout_losses(verdicts, advantages_B, options)
    (weights_T,) = torch.autograd.grad(losses_B.sum(), leaf_T)
    with torch.no_grad():
        correct_T = batch.correct_B[batch.rollout_T]
        ratio_T = verdicts.ratio_T
        live_T = torch.where(correct_T, ratio_T <= upper, ratio_T >= lower)
        clipped_T = torch.where(correct_T, ratio_T.clamp(max=upper), ratio_T.clamp(min=lower))
        # G sqrt(p (1 - p)) is sqrt(N+ N-), of which each correct rollout has 1/N+.
        odds_B = (batch.negatives_Q.double() / batch.positives_Q).sqrt()[batch.group_B]
        factor_B = torch.where(batch.correct_B, odds_B, -1 / odds_B)
        values_B = losses_B + factor_B * batch.rollout_mean(clipped_T)
        slopes_B = batch.rollout_sum(weights_T) + factor_B * batch.rollout_mean(ratio_T * live_T)
        return float(torch.cat([values_B, slopes_B]).abs().max())
