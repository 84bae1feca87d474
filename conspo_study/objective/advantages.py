"""Advantages of rollouts within their group: a reward minus a baseline, on some scale.

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


def leave_one_out_advantages(batch: GroupBatch) -> Tensor:
    """r minus the mean r of the other rollouts = G/(G - 1) (r - mean r), in that precision: [B]."""
    scale_Q = batch.sizes_Q / (batch.sizes_Q - 1).double()
    return (_centered(batch) * scale_Q[batch.group_B]).to(batch.logprobs_T.dtype)


def mean_normalised_advantages(batch: GroupBatch, epsilon: float) -> tuple[Tensor, Tensor]:
    """(r - mean r) / (mean r + epsilon) within each group, in that precision: [B].

    0 in a group whose mean reward is not above 0, where the quotient would turn signs around; which
    groups those are, as bools: [Q].
    """
    mean_Q = _means(batch)
    silent_Q = mean_Q <= 0
    scale_Q = torch.where(silent_Q, 0.0, 1 / (mean_Q + epsilon))
    advantages_B = _centered(batch) * scale_Q[batch.group_B]
    return advantages_B.to(batch.logprobs_T.dtype), silent_Q


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
    return batch.rewards_B.to(torch.float64) - _means(batch)[batch.group_B]


def _means(batch: GroupBatch) -> Tensor:
    return batch.group_sum(batch.rewards_B.to(torch.float64)) / batch.sizes_Q
