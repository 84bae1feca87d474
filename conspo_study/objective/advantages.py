"""Advantages of rollouts within their group, with or without division by a standard deviation.

Papers write "std" without saying which. Every implementation that divides by it uses ddof 1 and
adds its own epsilon (verl 1e-6, TRL 1e-4, OpenRLHF 1e-9); prime-rl does not divide at all. The
choice of ddof is one constant, sqrt((G - 1)/G), for groups of one size G.
"""

from __future__ import annotations

import torch
from torch import Tensor

from conspo_study.config import AdvantageOptions
from conspo_study.objective.batch import GroupBatch
from conspo_study.objective.output import least_of, mean_of, peak_of
from conspo_study.records import Part


def centered_rewards(batch: GroupBatch) -> Tensor:
    """r - mean r within each group, in the precision of the log-probabilities: [B]."""
    return _centered(batch).to(batch.logprobs_T.dtype)


def normalised_advantages(batch: GroupBatch, options: AdvantageOptions) -> Tensor:
    """(r - mean r) / (std r + epsilon) within each group, in that same precision: [B]."""
    centered_B = _centered(batch)
    variance_Q = batch.group_sum(centered_B**2) / (batch.sizes_Q - options.std_ddof)
    scale_B = (variance_Q.sqrt() + options.std_epsilon)[batch.group_B]
    return (centered_B / scale_B).to(batch.logprobs_T.dtype)


def advantage_metrics(advantages_B: Tensor) -> dict[str, Part]:
    """Over rollouts: the mean advantage, which is 0 when groups are whole, its mean size, ends."""
    return {
        "advantage_mean": mean_of(advantages_B),
        "advantage_abs": mean_of(advantages_B.abs()),
        "advantage_min": least_of(advantages_B),
        "advantage_max": peak_of(advantages_B),
    }


def _centered(batch: GroupBatch) -> Tensor:
    # float64: a std of rewards close to each other would otherwise lose its digits.
    rewards_B = batch.rewards_B.to(torch.float64)
    mean_Q = batch.group_sum(rewards_B) / batch.sizes_Q
    return rewards_B - mean_Q[batch.group_B]
