"""Samples one token per row from a uniform number per row, by inverting the distribution function.

Since the uniform numbers are given, a row's token depends on that row alone; shared random state
(`torch.multinomial`) would not ensure that.
"""

from __future__ import annotations

import torch

from conspo_study.rollout.engine import Sampling

BLOCK = 1024
"""Largest number of tokens whose probabilities are added up one by one."""


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
    tokens_R = _inverted(probs_RV, uniform_R)
    return tokens_R, _pick(probs_RV, tokens_R).log()


def _inverted(probs_RV: torch.Tensor, uniform_R: torch.Tensor) -> torch.Tensor:
    """The first token of each row whose cumulative probability exceeds its uniform number.

    In a large vocabulary, first a block of tokens is found in this way, then a token in the block.
    Sums over blocks, and in a block, are in float64: a running sum over 150,000 tokens in float32
    comes in steps that are larger than the probabilities of most of them.
    """
    if probs_RV.shape[-1] <= BLOCK:
        total_R1 = (cumulative_RV := probs_RV.cumsum(dim=-1))[:, -1:]
        return _first_above(cumulative_RV, uniform_R[:, None] * total_R1)
    whole = probs_RV.shape[-1] // BLOCK * BLOCK
    masses_RB = probs_RV[:, :whole].reshape(len(probs_RV), -1, BLOCK).sum(-1)
    rest_R1 = probs_RV[:, whole:].sum(-1, keepdim=True)
    ends_RB = torch.cat([masses_RB, rest_R1], dim=-1).cumsum(dim=-1, dtype=torch.float64)
    target_R1 = uniform_R[:, None].double() * ends_RB[:, -1:]
    block_R = _first_above(ends_RB, target_R1)
    before_RB = torch.cat([torch.zeros_like(target_R1), ends_RB], dim=-1)
    at_RK = block_R[:, None] * BLOCK + torch.arange(BLOCK, device=probs_RV.device)
    beyond_RK = at_RK >= probs_RV.shape[-1]
    inside_RK = probs_RV.gather(-1, at_RK.clamp(max=probs_RV.shape[-1] - 1)).double()
    inside_RK = inside_RK.masked_fill_(beyond_RK, 0).cumsum(dim=-1)
    within_R = _first_above(inside_RK, target_R1 - before_RB.gather(-1, block_R[:, None]))
    return (block_R * BLOCK + within_R).clamp_(max=probs_RV.shape[-1] - 1)


def _first_above(cumulative_RN: torch.Tensor, target_R1: torch.Tensor) -> torch.Tensor:
    """The first place of each row with a sum above the target, which is below the last but for
    rounding. It has a positive share."""
    last_R1 = cumulative_RN[:, -1:]
    target_R1 = torch.minimum(target_R1, torch.nextafter(last_R1, last_R1.new_zeros(())))
    place_R = torch.searchsorted(cumulative_RN, target_R1, right=True)[:, 0]
    # Only rows of NaN, in which no value exceeds the target, are out of range.
    return place_R.clamp_(max=cumulative_RN.shape[-1] - 1)


def nucleus(probs_RV: torch.Tensor, top_p: float) -> torch.Tensor:
    """Probabilities restricted to the fewest likeliest tokens that reach `top_p`, renormalised."""
    sorted_RV, order_RV = probs_RV.sort(dim=-1, descending=True, stable=True)
    before_RV = sorted_RV.cumsum(dim=-1) - sorted_RV
    sorted_RV = sorted_RV.masked_fill(before_RV >= top_p, 0.0)
    kept_RV = torch.zeros_like(probs_RV).scatter(-1, order_RV, sorted_RV)
    return kept_RV / kept_RV.sum(dim=-1, keepdim=True)


def _pick(values_RV: torch.Tensor, tokens_R: torch.Tensor) -> torch.Tensor:
    return values_RV.gather(-1, tokens_R[:, None])[:, 0]
