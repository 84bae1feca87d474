"""ConSPO: InfoNCE over the verified groups of a step (arXiv 2605.12969, eq. 13).

Score: s = mean over the response's tokens of log pi_theta, for correct and wrong rollouts alike.
Per valid group, to maximise, at temperature tau and margin m:

    J = 1/N+ sum_{i correct} tau log [ e_i / (e_i + sum_{j wrong} e^{s_j/tau}) ]
    e_i = e^{(s_i - m)/tau}

Each correct rollout faces all wrong ones, never another correct one. With
z_i = logsumexp_j(s_j/tau) - (s_i - m)/tau this is -tau softplus(z_i), which stays finite for any
score, where the quotient of exponentials does not. The paper has no ratio, clip or KL term: after
the first optimiser step on a rollout batch the update is off-policy without correction. A trust
region can be set (`trust_region`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from conspo_study.config import ConSPOOptions, ContrastiveOptions
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.margin import margin_at
from conspo_study.objective.output import ObjectiveOutput, mean_of, of_the_step, peak_of
from conspo_study.objective.registry import register
from conspo_study.objective.trust_region import on_trusted_scores
from conspo_study.records import Part


@register(ConSPOOptions)
def conspo(batch: GroupBatch, options: ConSPOOptions, progress: Progress) -> ObjectiveOutput:
    """loss = -(1/Q) sum of J over the Q valid groups of the step."""
    margin = margin_at(options, progress.fraction)
    return on_trusted_scores(
        batch,
        options,
        lambda scores_B: contrast(batch, scores_B, options, progress),
        lambda scores_B: score_credits(batch, scores_B, options.tau, margin),
    )


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
    metrics = contrast_metrics(batch, scores_B.detach(), logits_B.detach(), options.tau, margin)
    return ObjectiveOutput(loss, metrics)


@torch.no_grad()
def contrast_metrics(
    batch: GroupBatch, scores_B: Tensor, logits_B: Tensor, tau: float, margin: float
) -> dict[str, Part]:
    """Metrics of the contrast.

    `margin` is m_t, `push` the mean 1 - P_i of correct rollouts, `p_positive` their mean P_i as it
    would be without a margin, `effective_negatives` 1 / sum_j w_j^2, between 1 and N-: how many
    wrong rollouts share the push, and `effective_negatives_share` that over N-. `margin_effect` is
    the largest change of any rollout's credit that the margin makes at this tau; credits are at
    most 1 in size, so an effect of 1e-4 is negligible.
    """
    correct = batch.correct_B
    unshifted_B = logits_B - margin / tau
    push_B = torch.sigmoid(logits_B)
    weights_B = negative_softmax(batch, scores_B, tau)
    negatives_Q = 1 / batch.group_sum(weights_B**2)
    # Credits are linear in the pushes, so their change is the credit of the change.
    change_B = credits_of_pushes(batch, push_B - torch.sigmoid(unshifted_B), weights_B)
    return {
        "margin": of_the_step(batch, margin),
        "push": mean_of(push_B[correct]),
        "p_positive": mean_of(torch.sigmoid(-unshifted_B[correct])),
        "effective_negatives": mean_of(negatives_Q),
        "effective_negatives_share": mean_of(negatives_Q / batch.negatives_Q),
        "margin_effect": peak_of(change_B.abs()),
    }


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
    return credits_of_pushes(batch, push_B, negative_softmax(batch, scores_B, tau))


def credits_of_pushes(batch: GroupBatch, push_B: Tensor, weights_B: Tensor) -> Tensor:
    """push_i/N+ of each correct rollout, -w_j times the mean push of each wrong one: [B] -> [B]."""
    positive_B = push_B / batch.positives_Q[batch.group_B]
    total_Q = batch.group_sum(torch.where(batch.correct_B, positive_B, 0.0))
    return torch.where(batch.correct_B, positive_B, -weights_B * total_Q[batch.group_B])


def negative_softmax(batch: GroupBatch, scores_B: Tensor, tau: float) -> Tensor:
    """w_j = e^{s_j/tau} / sum over the group's wrong rollouts; 0 for correct ones: [B] -> [B]."""
    scaled_B = batch.centered(scores_B) / tau
    log_weights_B = scaled_B - batch.negative_logsumexp(scaled_B)[batch.group_B]
    return torch.where(batch.correct_B, 0.0, log_weights_B.clamp(max=0).exp())
