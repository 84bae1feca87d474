"""The seed-to-seed spread of the difference between two settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

ONE_SEED = "one seed has no spread: no difference can be told from luck"
"""Reason for giving no spread for a single seed."""
FEWEST_SEEDS = 3
"""Fewer seeds support no verdict: their interval is wide and depends much on normality."""
TOO_FEW = "two seeds decide nothing: a verdict needs three"
"""What so few can show."""


@dataclass(frozen=True, slots=True)
class PairedSpread:
    """The seed-to-seed spread of a paired difference, and its source."""

    sd: float
    """Standard deviation of the paired difference, in units of the metric."""
    source: str
    """Origin of the number, in words for people."""


def residual_squares(layout: Sequence[Sequence[float]]) -> tuple[float, int] | None:
    """Sum of squared residuals after subtracting each trial's mean and each seed's mean, and its
    degrees of freedom, (trials - 1)(seeds - 1); None for fewer than two trials or two seeds.

    layout: trials x seeds, every row with the same seeds in the same order.
    """
    trials, seeds = len(layout), min(map(len, layout), default=0)
    if trials < 2 or seeds < 2:
        return None
    trial_means = [fmean(row) for row in layout]
    seed_means = [fmean(column) for column in zip(*layout, strict=True)]
    overall = fmean(trial_means)
    squares = math.fsum(
        (value - trial_mean - seed_mean + overall) ** 2
        for row, trial_mean in zip(layout, trial_means, strict=True)
        for value, seed_mean in zip(row, seed_means, strict=True)
    )
    return squares, (trials - 1) * (seeds - 1)


def pooled_spread(layout: Sequence[Sequence[float]]) -> PairedSpread | None:
    """The spread shown by finished trials; None for fewer than two trials or two seeds.

    layout: as for `residual_squares`. The difference of two values has sqrt(2) times the standard
    deviation of one.
    """
    residuals = residual_squares(layout)
    if residuals is None:
        return None
    squares, freedom = residuals
    sd = math.sqrt(2 * squares / freedom)
    if sd < 1e-12:
        return None  # equal in every seed: too coarse a metric to estimate a spread
    return PairedSpread(sd, f"measured: {len(layout)} finished trials x {len(layout[0])} seeds")
