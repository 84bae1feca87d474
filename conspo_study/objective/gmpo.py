"""GMPO (arXiv 2507.20673): the geometric mean of a rollout's clipped ratios.

    R_i = exp( mean over tokens of d'_it ),   d = log rho
    d'_it = min(d_it, log_clip) where A_i >= 0, max(d_it, -log_clip) where A_i < 0

The clip acts on each token, in log space, before the mean. The authors' code, verl's `geo_mean`
and TRL's trainer agree; verl's `clip_ratio` is a limit in log space there, although the field is
named as for ratios. The authors' metric counts both sides, also where the clip does nothing.
"""

from __future__ import annotations

import torch

from conspo_study.config import GMPOOptions
from conspo_study.objective.advantages import advantage_metrics, normalised_advantages
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.output import ObjectiveOutput, mean_of
from conspo_study.objective.registry import register


@register(GMPOOptions)
def gmpo(batch: GroupBatch, options: GMPOOptions, _: Progress) -> ObjectiveOutput:
    """loss = -(1/B) sum over rollouts of A R."""
    limit = options.log_clip
    advantages_B = normalised_advantages(batch, options)
    raised_T = advantages_B[batch.rollout_T] >= 0
    d_T = batch.log_ratio_T
    clipped_T = torch.where(raised_T, d_T.clamp(max=limit), d_T.clamp(min=-limit))
    ratio_B = batch.rollout_mean(clipped_T).exp()
    loss = -(advantages_B * ratio_B).sum() / batch.totals.rollouts
    metrics = {
        "clip_fraction_high": mean_of((d_T.detach() > limit) & raised_T),
        "clip_fraction_low": mean_of((d_T.detach() < -limit) & ~raised_T),
    }
    return ObjectiveOutput(loss, metrics | advantage_metrics(advantages_B), advantages_B)
