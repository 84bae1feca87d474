"""What can be said of a batch of groups whatever the objective, and of objectives on a batch."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from conspo_study.config import GRPOOptions, ObjectiveOptions
from conspo_study.objective.base import (
    GroupBatch,
    Objective,
    ObjectiveOutput,
    Progress,
    mean_of,
)
from conspo_study.objective.conspo import score_credits
from conspo_study.objective.grpo import grpo
from conspo_study.records import Mean


@torch.no_grad()
def score_metrics(batch: GroupBatch) -> dict[str, Mean]:
    """How well the scores s = mean log-probability separate correct from wrong rollouts.

    `score_positive`, `score_negative` and `score_gap` are means over groups of the group's means;
    `pairwise_accuracy` is the share of (correct, wrong) pairs of a group that s orders rightly.
    """
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


def rollout_credits(
    batch: GroupBatch, objective: Objective, options: ObjectiveOptions, progress: Progress
) -> Tensor:
    """How strongly an objective pushes each rollout: dJ/ds, up or down, times the groups: [B].

    It is minus the sum over the rollout's tokens of d loss / d log pi, which for a loss on scores
    s = mean log pi is the derivative by the score. Times the number of groups it does not depend on
    the batch size. Drawn against the scores it is figure 2 of the ConSPO paper.
    """
    leaf_T = batch.logprobs_T.detach().requires_grad_()
    loss = objective(replace(batch, logprobs_T=leaf_T), options, progress).loss
    (weights_T,) = torch.autograd.grad(loss, leaf_T)
    return -batch.rollout_sum(weights_T) * batch.totals.groups


def grpo_identity_gap(batch: GroupBatch) -> float:
    """How far GRPO is from its discriminative form on this batch; 0 up to rounding.

    Proposition 1 of the ConSPO paper: with population std, a group of G rollouts and pass rate p
    adds G sqrt(p (1 - p)) (mean of s+ over correct - mean of s- over wrong rollouts) to B times the
    objective, with the clipped ratios s+ = mean_t min(rho, 1 + eps), s- = mean_t max(rho, 1 - eps).
    The gap is the larger of the difference of the losses and of any rollout's credits.
    """
    options = GRPOOptions(std_ddof=0, std_epsilon=0.0)
    verdicts = replace(batch, rewards_B=batch.correct_B.double(), correction_T=None)

    def discriminative(batch: GroupBatch, options: GRPOOptions, _: Progress) -> ObjectiveOutput:
        high_B = batch.rollout_mean(batch.ratio_T.clamp(max=1 + options.clip_high))
        low_B = batch.rollout_mean(batch.ratio_T.clamp(min=1 - options.clip_low))
        scores_B = torch.where(batch.correct_B, high_B, low_B)
        correct_Q, wrong_Q = batch.group_means(scores_B)
        weight_Q = (batch.positives_Q * batch.negatives_Q).double().sqrt()  # G sqrt(p (1 - p))
        loss = -(weight_Q * (correct_Q - wrong_Q)).sum() / batch.totals.rollouts
        return ObjectiveOutput(loss, metrics={})

    start = Progress(step=0, steps=1)
    forms: tuple[Objective, Objective] = (grpo, discriminative)
    loss_a, loss_b = (float(form(verdicts, options, start).loss.detach()) for form in forms)
    credits_a, credits_b = (rollout_credits(verdicts, form, options, start) for form in forms)
    return max(abs(loss_a - loss_b), float((credits_a - credits_b).abs().max()))


@torch.no_grad()
def margin_effect(batch: GroupBatch, tau: float, margin: float) -> float:
    """The largest change of any rollout's ConSPO credit that this margin makes at this tau.

    Credits are at most 1 in size: a margin whose effect is 1e-4 cannot be told from none.
    """
    scores_B = batch.rollout_mean(batch.logprobs_T)
    change_B = score_credits(batch, scores_B, tau, margin) - score_credits(batch, scores_B, tau, 0)
    return float(change_B.abs().max())
