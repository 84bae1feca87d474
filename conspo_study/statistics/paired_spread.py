"""The seed-to-seed spread of the difference between two settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

ONE_SEED = "one seed has no spread: no difference can be told from luck"
"""Reason for giving no spread for a single seed."""


@dataclass(frozen=True, slots=True)
class PairedSpread:
    """The seed-to-seed spread of a paired difference, and its source."""

    sd: float
    """Standard deviation of the paired difference, in units of the metric."""
    source: str
    """Origin of the number, in words for people."""


def pooled_spread(layout: Sequence[Sequence[float]]) -> PairedSpread | None:
    """The spread shown by finished trials; None for fewer than two trials or two seeds.

    layout: trials x seeds, every row with the same seeds in the same order. The residuals after
    subtracting each trial's mean and each seed's mean have (trials - 1)(seeds - 1) degrees of
    freedom; the difference of two values has sqrt(2) times their standard deviation.
    """
    trials, seeds = len(layout), min(map(len, layout), default=0)
    if trials < 2 or seeds < 2:
        return None
    trial_means = [fmean(row) for row in layout]
    seed_means = [fmean(column) for column in zip(*layout, strict=True)]
    overall = fmean(trial_means)
    residuals = [
        value - trial_means[trial] - seed_means[seed] + overall
        for trial, row in enumerate(layout)
        for seed, value in enumerate(row)
    ]
    freedom = (trials - 1) * (seeds - 1)
    sd = math.sqrt(2 * math.fsum(value**2 for value in residuals) / freedom)
    if sd < 1e-12:
        return None  # equal in every seed: too coarse a metric to estimate a spread
    return PairedSpread(sd, f"measured: {trials} finished trials x {seeds} seeds")
