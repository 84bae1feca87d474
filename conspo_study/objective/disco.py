"""DisCO (arXiv 2505.12366): discriminative scores under a constraint on the KL divergence.

    J = mean_{i correct} s_i - tau log( 1/N- sum_{j wrong} e^{s_j/tau} ),  to maximise on average
    KL = mean over tokens of (log pi_old - log pi_theta) <= kl_limit

`aggregate = mean` is DisCO-b, with the plain mean over wrong rollouts. s is the mean over tokens of
log pi_theta, or of the unclipped ratio. KL beyond its limit is penalised (`kl_hinge`): in the
paper by the squared excess, in the authors' code with half of that gradient, what produced the
published numbers, and the default. The logged loss of their code is not J's (its log-sum-exp
reports tau); here it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from conspo_study.config import DisCOOptions
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.conspo import negative_softmax
from conspo_study.objective.kl_hinge import KLHinge
from conspo_study.objective.output import ObjectiveOutput
from conspo_study.objective.registry import register


@register(DisCOOptions)
def disco(batch: GroupBatch, options: DisCOOptions, _: Progress) -> ObjectiveOutput:
    """loss = -(1/Q) sum of J over the groups + this worker's share of the penalty.

    Raises ValueError when a batch spread over workers does not say the KL of the whole step.
    """
    token_T = batch.logprobs_T if options.score == "log_likelihood" else batch.ratio_T
    scores_B = batch.centered(batch.rollout_mean(token_T))
    correct_Q, wrong_Q = batch.group_means(scores_B)
    if options.aggregate == "log_sum_exp":
        lse_Q = batch.negative_logsumexp(scores_B / options.tau)
        wrong_Q = options.tau * (lse_Q - batch.negatives_Q.to(lse_Q.dtype).log())
    loss = -(correct_Q - wrong_Q).sum() / batch.totals.groups
    hinge = KLHinge(options.kl_limit, options.kl_penalty, options.penalty)
    sizes_B = credit_sizes(batch, scores_B, options)
    return ObjectiveOutput(*hinge.add(loss, batch, options.name, sizes_B))


@torch.no_grad()
def credit_sizes(batch: GroupBatch, scores_B: Tensor, options: DisCOOptions) -> Tensor:
    """|dJ/ds| of each rollout, by log pi: [B]."""
    ones_B = torch.ones_like(scores_B)
    positive_B = ones_B / batch.positives_Q[batch.group_B]
    if options.aggregate == "log_sum_exp":
        negative_B = negative_softmax(batch, scores_B, options.tau)
    else:
        negative_B = ones_B / batch.negatives_Q[batch.group_B]
    size_B = torch.where(batch.correct_B, positive_B, negative_B)
    return size_B * batch.rollout_mean(batch.ratio_T) if options.score == "ratio" else size_B
