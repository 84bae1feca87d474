"""DPPO (arXiv 2602.04879): a limit to the divergence of each token's probability, not to its ratio.

    l_it = -w_it A_i log pi_theta(o_it),   w = min(rho, ratio_cap) where valid, else 0, constant

With p and p_old the probabilities of the sampled token, against all others together,

    tv:  valid where p - p_old <= delta_high (A > 0),   p_old - p <= delta_low (A <= 0)
    kl:  valid where k <= delta_high or p <= p_old (A > 0),   k <= delta_low or p >= p_old (A <= 0)
         k = p_old log(p_old / p) + (1 - p_old) log((1 - p_old) / (1 - p))

A rare token may change its ratio far more than a likely one. As under PPO, a move back is never
stopped. The defaults are SkyRL's, tv with 0.2 (it recommends 0.05 for kl), with its advantages and
its mean over tokens. verl's losses `dppo_tv` and `dppo_kl` are the same, with 0.2 in both; its
example has 0.15 and 0.05, advantages without the std, and sums over tokens. The cap of 20 is what
verl's loss falls back to: its actor's `clip_ratio_c` of 3 replaces it, its example sets 10000, and
SkyRL and prime-rl have none. prime-rl's default loss is tv with 0.2, advantages without the std,
and 1e-3 d^2 added. SkyRL and prime-rl compare with the sampler (`update.old_logprobs=sampler`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from conspo_study.config import DPPOOptions
from conspo_study.objective.advantages import advantage_metrics, normalised_advantages
from conspo_study.objective.aggregation import token_mean
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.output import ObjectiveOutput, mean_of
from conspo_study.objective.registry import register

REST_FLOOR = 1e-8
"""Added to 1 - p in the binary KL, as in verl and SkyRL: float32 rounds the largest p to 1."""


@register(DPPOOptions)
def dppo(batch: GroupBatch, options: DPPOOptions, _: Progress) -> ObjectiveOutput:
    """loss = mean of l over all tokens of the step."""
    advantages_B = normalised_advantages(batch, options)
    advantages_T = advantages_B[batch.rollout_T]
    with torch.no_grad():
        ratio_T = batch.ratio_T
        beyond_T = beyond_limits(batch, advantages_T > 0, options)
        weight_T = ratio_T.clamp(max=options.ratio_cap).masked_fill(beyond_T, 0.0)
        metrics = {
            "clip_fraction_high": mean_of(beyond_T & (advantages_T > 0)),
            "clip_fraction_low": mean_of(beyond_T & (advantages_T < 0)),
            "cap_hit": mean_of(ratio_T > options.ratio_cap),
        }
    loss_T = batch.corrected(-weight_T * advantages_T * batch.logprobs_T)
    loss = token_mean(batch, loss_T)
    return ObjectiveOutput(loss, metrics | advantage_metrics(advantages_B), advantages_B)


def beyond_limits(batch: GroupBatch, raised_T: Tensor, options: DPPOOptions) -> Tensor:
    """Which tokens have moved too far the way their advantage pushes them: bools, [T] -> [T].

    raised_T: whether A > 0.
    """
    old_T, new_T = batch.old_logprobs_T.double(), batch.logprobs_T.double()
    forward_T = torch.where(raised_T, new_T > old_T, new_T < old_T)
    distance_T = (total_variation if options.divergence == "tv" else binary_kl)(old_T, new_T)
    low, high = options.limits
    limit_T = torch.full_like(distance_T, low).masked_fill(raised_T, high)
    return forward_T & (distance_T > limit_T)


def total_variation(old_T: Tensor, new_T: Tensor) -> Tensor:
    """|p - p_old| of log-probabilities: the distance of token against rest, in float64."""
    return (new_T.exp() - old_T.exp()).abs()


def binary_kl(old_T: Tensor, new_T: Tensor) -> Tensor:
    """KL of token against rest, from the old to the new policy, of log-probabilities, in float64.

    1 - p is -expm1(log p), which keeps its digits as p goes to 1.
    """
    rest_old_T = -torch.expm1(old_T.clamp(max=0))
    rest_new_T = -torch.expm1(new_T.clamp(max=0))
    odds_T = (rest_old_T + REST_FLOOR) / (rest_new_T + REST_FLOOR)
    return old_T.exp() * (old_T - new_T) + rest_old_T * odds_T.log()
