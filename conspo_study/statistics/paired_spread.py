"""How much the difference of two settings varies from seed to seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

ONE_SEED = "one seed has no spread: no difference can be told from luck"
"""Why there is no answer for a single seed."""


@dataclass(frozen=True, slots=True)
class PairedSpread:
    """The seed-to-seed variation of a paired difference, and how it is known."""

    sd: float
    """Standard deviation of the paired difference, in units of the metric."""
    source: str
    """Where the number comes from, for people."""


def pooled_spread(layout: Sequence[Sequence[float]]) -> PairedSpread | None:
    """The spread that finished trials show; None for fewer than two trials or two seeds.

    layout: trials x seeds, every row with the same seeds in the same order. What is left of each
    value after its trial's mean and its seed's mean has (trials - 1)(seeds - 1) degrees of freedom;
    a difference of two such values varies sqrt(2) times as much.
    """
    trials, seeds = len(layout), min(map(len, layout), default=0)
    if trials < 2 or seeds < 2:
        return None
    of_trial = [fmean(row) for row in layout]
    of_seed = [fmean(column) for column in zip(*layout, strict=True)]
    overall = fmean(of_trial)
    left = [
        value - of_trial[trial] - of_seed[seed] + overall
        for trial, row in enumerate(layout)
        for seed, value in enumerate(row)
    ]
    freedom = (trials - 1) * (seeds - 1)
    sd = math.sqrt(2 * math.fsum(value**2 for value in left) / freedom)
    if sd < 1e-12:
        return None  # equal in every seed: too coarse a measurement to say how it varies
    return PairedSpread(sd, f"measured: {trials} finished trials x {seeds} seeds")
