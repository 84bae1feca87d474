"""ConSPO: InfoNCE over the verified groups of a step (arXiv 2605.12969, eq. 13).

Score: s = mean over the response's tokens of log pi_theta, for correct and wrong rollouts alike.
Per valid group, to maximise, at temperature tau and margin m:

    J = 1/N+ sum_{i correct} tau log [ e_i / (e_i + sum_{j wrong} e^{s_j/tau}) ]
    e_i = e^{(s_i - m)/tau}

Each correct rollout faces all wrong ones, never another correct one. With
z_i = logsumexp_j(s_j/tau) - (s_i - m)/tau this is -tau softplus(z_i), which stays finite for any
score, where the quotient of exponentials does not. There is no ratio, clip or KL term: after the
first optimiser step on a rollout batch the update is off-policy without correction.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from conspo_study.config import ConSPOOptions, ContrastiveOptions
from conspo_study.objective.base import GroupBatch, ObjectiveOutput, Progress, mean_of, register
from conspo_study.objective.margin import margin_at
from conspo_study.records import Mean


@register(ConSPOOptions)
def conspo(batch: GroupBatch, options: ConSPOOptions, progress: Progress) -> ObjectiveOutput:
    """loss = -(1/Q) sum of J over the Q valid groups of the step."""
    scores_B = batch.rollout_mean(batch.logprobs_T)
    return contrast(batch, scores_B, options, progress)


def contrast(
    batch: GroupBatch, scores_B: Tensor, options: ContrastiveOptions, progress: Progress
) -> ObjectiveOutput:
    """The loss of the step for any scores, with its metrics."""
    margin = margin_at(options, progress.fraction)
    logits_B = contrast_logits(batch, scores_B, options.tau, margin)
    # logsigmoid(-z) = -softplus(z) exactly; torch's softplus turns linear above 20.
    terms_B = torch.where(batch.correct_B, F.logsigmoid(-logits_B), 0.0)
    per_group_Q = options.tau * batch.group_sum(terms_B) / batch.positives_Q
    loss = -per_group_Q.sum() / batch.totals.groups
    with torch.no_grad():
        correct = batch.correct_B
        no_margin_B = logits_B - margin / options.tau
        metrics = {
            "margin": Mean(margin, 1),
            "push": mean_of(torch.sigmoid(logits_B[correct])),
            "p_positive": mean_of(torch.sigmoid(-no_margin_B[correct])),
            "effective_negatives": mean_of(effective_negatives(batch, scores_B, options.tau)),
        }
    return ObjectiveOutput(loss, metrics)


def contrast_logits(batch: GroupBatch, scores_B: Tensor, tau: float, margin: float) -> Tensor:
    """z_i = logsumexp over the group's wrong j of (s_j - s_i + margin)/tau: [B] -> [B].

    sigmoid(z_i) = 1 - P_i is the credit of a correct rollout (Lemma 2). Entries of wrong rollouts
    carry no meaning.
    """
    centered_B = batch.centered(scores_B)
    negatives_Q = batch.negative_logsumexp(centered_B / tau)
    return negatives_Q[batch.group_B] - (centered_B - margin) / tau


def score_credits(batch: GroupBatch, scores_B: Tensor, tau: float, margin: float) -> Tensor:
    """dJ/ds of each rollout in closed form (Lemma 2), zero-sum within a group: [B] -> [B]."""
    push_B = torch.sigmoid(contrast_logits(batch, scores_B, tau, margin))
    push_B = torch.where(batch.correct_B, push_B, 0.0)
    positives_B = batch.positives_Q[batch.group_B]
    total_B = (batch.group_sum(push_B) / batch.positives_Q)[batch.group_B]
    weights_B = negative_softmax(batch, scores_B, tau)
    return torch.where(batch.correct_B, push_B / positives_B, -weights_B * total_B)


def negative_softmax(batch: GroupBatch, scores_B: Tensor, tau: float) -> Tensor:
    """w_j = e^{s_j/tau} / sum over the group's wrong rollouts; 0 for correct ones: [B] -> [B]."""
    scaled_B = batch.centered(scores_B) / tau
    log_weights_B = scaled_B - batch.negative_logsumexp(scaled_B)[batch.group_B]
    return torch.where(batch.correct_B, 0.0, log_weights_B.clamp(max=0).exp())


def effective_negatives(batch: GroupBatch, scores_B: Tensor, tau: float) -> Tensor:
    """1 / sum_j w_j^2 of each group, between 1 and N-: how many wrong rollouts share the push."""
    return 1 / batch.group_sum(negative_softmax(batch, scores_B, tau) ** 2)
