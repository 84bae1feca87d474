"""DisCO (arXiv 2505.12366): discriminative scores under a constraint on the KL divergence.

    J = mean_{i correct} s_i - tau log( 1/N- sum_{j wrong} e^{s_j/tau} ),  to maximise on average
    KL = mean over tokens of (log pi_old - log pi_theta) <= kl_limit

`aggregate = mean` is DisCO-b, with the plain mean over wrong rollouts. s is the mean over tokens of
log pi_theta, or of the unclipped ratio. With h = max(KL - kl_limit, 0), the paper penalises
kl_penalty h^2. The authors' code penalises (kl_penalty h, held constant) times KL: half of that
gradient, what produced the published numbers, and the default. The logged loss of their code is
not J's (its log-sum-exp reports tau); here it is. Their code applies the hinge to each micro-batch,
so that its size changes the method; here KL is that of the whole optimiser step over all workers,
over the groups with contrast. On-policy KL is 0 and the penalty inactive.
"""

from __future__ import annotations

import torch
from torch import Tensor

from conspo_study.config import DisCOOptions
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.conspo import negative_softmax
from conspo_study.objective.output import ObjectiveOutput, of_the_step
from conspo_study.objective.registry import register
from conspo_study.records import Mean, Part


@register(DisCOOptions)
def disco(batch: GroupBatch, options: DisCOOptions, _: Progress) -> ObjectiveOutput:
    """loss = -(1/Q) sum of J over the groups + this worker's share of the penalty.

    Raises ValueError when a batch spread over workers does not say the KL of the whole step.
    """
    kl = batch.kl_old
    if kl is None:
        raise ValueError(
            "disco limits the KL divergence of the whole step, which a part of it cannot know: "
            "give the batch its kl_old"
        )
    token_T = batch.logprobs_T if options.score == "log_likelihood" else batch.ratio_T
    scores_B = batch.centered(batch.rollout_mean(token_T))
    correct_Q, wrong_Q = batch.group_means(scores_B)
    if options.aggregate == "log_sum_exp":
        lse_Q = batch.negative_logsumexp(scores_B / options.tau)
        wrong_Q = options.tau * (lse_Q - batch.negatives_Q.to(lse_Q.dtype).log())
    loss = -(correct_Q - wrong_Q).sum() / batch.totals.groups
    excess = max(kl - options.kl_limit, 0.0)
    metrics: dict[str, Part] = {
        "constraint_kl": of_the_step(batch, kl),
        "hinge_active": of_the_step(batch, float(excess > 0)),
        "penalty_share": penalty_share(batch, scores_B, options, excess),
    }
    return ObjectiveOutput(loss + penalty(batch, options, excess), metrics)


def penalty_slope(options: DisCOOptions, excess: float) -> float:
    """d penalty / d KL."""
    slope = options.kl_penalty * excess
    return 2 * slope if options.penalty == "paper" else slope


def penalty(batch: GroupBatch, options: DisCOOptions, excess: float) -> Tensor:
    """This worker's share, by tokens, of the penalty: its value and its gradient."""
    own_kl = -batch.log_ratio_T.sum() / batch.totals.tokens
    linear = penalty_slope(options, excess) * own_kl
    if options.penalty == "code":
        return linear
    share = len(batch.logprobs_T) / batch.totals.tokens
    return linear - linear.detach() + options.kl_penalty * excess**2 * share


@torch.no_grad()
def penalty_share(
    batch: GroupBatch, scores_B: Tensor, options: DisCOOptions, excess: float
) -> Mean:
    """The penalty's part of |d loss / d log pi| summed over tokens, both terms apart.

    Not its part of the loss, whose other term has no sign and crosses 0.
    """
    ones_B = torch.ones_like(scores_B)
    positive_B = ones_B / batch.positives_Q[batch.group_B]
    if options.aggregate == "log_sum_exp":
        negative_B = negative_softmax(batch, scores_B, options.tau)
    else:
        negative_B = ones_B / batch.negatives_Q[batch.group_B]
    credit_B = torch.where(batch.correct_B, positive_B, negative_B)
    if options.score == "ratio":
        credit_B = credit_B * batch.rollout_mean(batch.ratio_T)
    contrast = float(credit_B.sum()) / batch.totals.groups
    weight = penalty_slope(options, excess) * len(batch.logprobs_T) / batch.totals.tokens
    return Mean(weight, weight + contrast)
