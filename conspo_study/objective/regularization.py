"""Regularisers of every objective: an entropy bonus, a KL penalty to a reference, and importance
weights of whole responses.

The first two are means over all response tokens of an optimiser step, whatever the objective's own
mean is, so that a coefficient means the same to all of them. Like the objective, they reach the
policy through numbers of single tokens: log pi, and the entropy of the distribution it is taken
from. Shape letters: T tokens, B rollouts.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from conspo_study.config import UpdateConfig
from conspo_study.objective.batch import GroupBatch
from conspo_study.objective.output import mean_of
from conspo_study.objective.token_weights import TokenWeights
from conspo_study.records import Part


class Term(NamedTuple):
    """A term of the loss; constant."""

    loss: float
    """This worker's share of it."""
    weights_T: Tensor
    """Its derivative by the number of each token that it reads: [T]."""
    metrics: dict[str, Part]


def entropy_bonus(entropies_T: Tensor, coefficient: float, tokens: int) -> Term:
    """Minus `coefficient` times the mean entropy; its weights are those of the entropies.

    entropies_T: of the policy at each token, in nats. tokens: of the step over all workers.
    """
    weights_T = torch.full_like(entropies_T, -coefficient / tokens)
    loss = -coefficient * float(entropies_T.double().sum()) / tokens
    return Term(loss, weights_T, {"policy_entropy": mean_of(entropies_T)})


def reference_penalty(
    logprobs_T: Tensor, reference_T: Tensor, coefficient: float, tokens: int
) -> Term:
    """`coefficient` times the mean k3 estimate of KL(pi || pi_reference), q - 1 - log q with q =
    pi_reference / pi (Schulman, "Approximating KL divergence", 2020); its weights are those of
    log pi.

    The gradient is that of the estimate for tokens taken as given, as GRPO's authors have it.
    logprobs_T, reference_T: nats. tokens: of the step over all workers.
    """
    log_q_T = reference_T.double() - logprobs_T.double()
    k3_T = log_q_T.expm1() - log_q_T
    weights_T = (-coefficient / tokens * log_q_T.expm1()).to(logprobs_T.dtype)
    loss = coefficient * float(k3_T.sum()) / tokens
    return Term(loss, weights_T, {"reference_kl": mean_of(k3_T)})


def importance_weighted(
    weights: TokenWeights, batch: GroupBatch, sampled_T: Tensor, cap: float
) -> TokenWeights:
    """Multiply the weights of each rollout's tokens by min(cap, pi_old / pi_sampler of the whole
    rollout), the truncated importance weight of a sequence.

    For a loss that is a sum over rollouts this is the gradient of the loss with weighted summands.
    An objective that compares rollouts has no such summands; here, too, the weight is that of what
    a rollout contributes to the gradient. The loss itself is left as it is. sampled_T: log
    pi_sampler, in nats.
    """
    log_ratio_B = batch.rollout_sum(batch.old_logprobs_T.double() - sampled_T.double())
    ratio_B = log_ratio_B.exp()
    kept_B = ratio_B.clamp(max=cap)
    metrics = {"importance_weight": mean_of(kept_B), "importance_capped": mean_of(ratio_B > cap)}
    weights_T = weights.weights_T * kept_B.to(weights.weights_T.dtype)[batch.rollout_T]
    return weights._replace(weights_T=weights_T, metrics=weights.metrics | metrics)


def regularized(
    settings: UpdateConfig,
    weights: TokenWeights,
    logprobs_T: Tensor,
    entropies_T: Tensor | None,
    reference_T: Tensor | None,
    tokens: int,
) -> tuple[float, Tensor, dict[str, Part]]:
    """An objective's loss with what `settings` add to it: the loss, its weights, and metrics.

    Weights are [T], or [T, 2] with those of the entropies, if they are given, in the second column.
    reference_T: None where no penalty is configured. tokens: of the step over all workers.
    """
    loss, weights_T, metrics = weights.loss, weights.weights_T, dict(weights.metrics)
    if reference_T is not None:
        term = reference_penalty(logprobs_T, reference_T, settings.reference_kl, tokens)
        loss, weights_T = loss + term.loss, weights_T + term.weights_T
        metrics |= term.metrics
    if entropies_T is None:
        return loss, weights_T, metrics
    bonus = entropy_bonus(entropies_T, settings.entropy_bonus, tokens)
    both = torch.stack((weights_T, bonus.weights_T), dim=1)
    return loss + bonus.loss, both, metrics | bonus.metrics
