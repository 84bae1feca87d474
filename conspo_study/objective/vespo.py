"""VESPO (arXiv 2602.10693): REINFORCE weighted by a smooth function of the whole sequence's ratio.

    l_it = -phi(w_i) A_i log pi_theta(o_it),   w_i = exp( sum over tokens of log rho ), phi constant
    log phi(w) = lambda + k log w - lambda w,  so that phi(1) = 1

with (k, lambda) = (2, 3) where A >= 0 and (3, 2) elsewhere, as the authors' code and TRL have them.
phi falls to 0 on both sides of its peak at w = k/lambda, in nats of the whole rollout: not divided
by its length, as GSPO's ratio is. Both take one mean over tokens. They bound log rho and log w
to 20 nats (TRL log w below to log 1e-8) before the exponential. In log space nothing overflows, and
beyond those bounds phi is below 1e-14 at the default settings. Corrections from trainer to sampler
multiply w, as there: w is then the ratio to the sampler.
"""

from __future__ import annotations

import torch
from torch import Tensor

from conspo_study.config import VESPOOptions
from conspo_study.objective.advantages import advantage_metrics, normalised_advantages
from conspo_study.objective.aggregation import token_mean
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.output import ObjectiveOutput, mean_of, peak_of
from conspo_study.objective.registry import register
from conspo_study.records import Part


@register(VESPOOptions)
def vespo(batch: GroupBatch, options: VESPOOptions, _: Progress) -> ObjectiveOutput:
    """loss = mean of l over all tokens of the step."""
    advantages_B = normalised_advantages(batch, options)
    phi_B = sequence_weights(batch, advantages_B >= 0, options)
    coefficient_B = phi_B.to(advantages_B.dtype) * advantages_B
    loss = token_mean(batch, -coefficient_B[batch.rollout_T] * batch.logprobs_T)
    metrics: dict[str, Part] = {
        "sequence_weight": mean_of(phi_B),
        "sequence_weight_max": peak_of(phi_B),
    }
    return ObjectiveOutput(loss, metrics | advantage_metrics(advantages_B), advantages_B)


@torch.no_grad()
def sequence_weights(batch: GroupBatch, raised_B: Tensor, options: VESPOOptions) -> Tensor:
    """phi of each rollout, in float64; raised_B: whether A >= 0: [B] -> [B]."""
    d_T = batch.log_ratio_T.double()
    if batch.correction_T is not None:
        d_T = d_T + batch.correction_T.double().log()
    log_w_B = batch.rollout_sum(d_T)

    def of_sign(positive: float, negative: float) -> Tensor:
        return torch.full_like(log_w_B, negative).masked_fill(raised_B, positive)

    k_B = of_sign(options.k_positive, options.k_negative)
    lambda_B = of_sign(options.lambda_positive, options.lambda_negative)
    return (lambda_B + k_B * log_w_B - lambda_B * log_w_B.exp()).exp()
