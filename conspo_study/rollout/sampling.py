"""Samples one token per row from a uniform number per row, by inverting the distribution function.

Since the uniform numbers are given, a row's token depends on that row alone; shared random state
(`torch.multinomial`) would not ensure that.
"""

from __future__ import annotations

import torch

from conspo_study.rollout.engine import Sampling


def next_tokens(
    logits_RV: torch.Tensor, uniform_R: torch.Tensor, sampling: Sampling
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens [R] and their log-probabilities [R] under the distribution they are sampled from.

    uniform_R: numbers in [0, 1). A greedy token has its log-probability at temperature 1. A row
    with NaN logits, as of a diverged policy, gets an arbitrary token and NaN.
    """
    logits_RV = logits_RV.float()
    if sampling.temperature == 0:
        tokens_R = logits_RV.argmax(dim=-1)
        return tokens_R, _pick(logits_RV.log_softmax(dim=-1), tokens_R)
    probs_RV = (logits_RV / sampling.temperature).softmax(dim=-1)
    if sampling.top_p < 1:
        probs_RV = nucleus(probs_RV, sampling.top_p)
    cumulative_RV = probs_RV.cumsum(dim=-1)
    total_R1 = cumulative_RV[:, -1:]
    # The first token whose cumulative probability exceeds the target has positive probability if
    # the target is below the total; rounding could violate that, so the target is clamped.
    below_total_R1 = torch.nextafter(total_R1, total_R1.new_zeros(()))
    target_R1 = torch.minimum(uniform_R[:, None] * total_R1, below_total_R1)
    tokens_R = torch.searchsorted(cumulative_RV, target_R1, right=True)[:, 0]
    # Only rows of NaN, in which no value exceeds the target, are out of range.
    tokens_R.clamp_(max=logits_RV.shape[-1] - 1)
    return tokens_R, _pick(probs_RV, tokens_R).log()


def nucleus(probs_RV: torch.Tensor, top_p: float) -> torch.Tensor:
    """Probabilities restricted to the fewest likeliest tokens that reach `top_p`, renormalised."""
    sorted_RV, order_RV = probs_RV.sort(dim=-1, descending=True, stable=True)
    before_RV = sorted_RV.cumsum(dim=-1) - sorted_RV
    sorted_RV = sorted_RV.masked_fill(before_RV >= top_p, 0.0)
    kept_RV = torch.zeros_like(probs_RV).scatter(-1, order_RV, sorted_RV)
    return kept_RV / kept_RV.sum(dim=-1, keepdim=True)


def _pick(values_RV: torch.Tensor, tokens_R: torch.Tensor) -> torch.Tensor:
    return values_RV.gather(-1, tokens_R[:, None])[:, 0]
