"""Student and Welch intervals over a handful of seeds; one seed has no interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit  # scipy.stats takes a second to import

FEWEST_SEEDS = 3
"""Fewer seeds support no claim: their interval is wide and depends much on normality."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the two-sided interval around it."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Values of one trial minus those of another under the same seeds."""

    by_seed: Mapping[int, float]
    """Only seeds that both trials have."""
    mean: float
    interval: Interval | None


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Mean and Student-t interval over independent seeds; None for fewer than two.

    Raises ValueError when a value is not finite: such a mean would hide a failed run.
    """
    if not all(map(math.isfinite, values)):
        raise ValueError(f"values must be finite, got {list(values)}")
    n = len(values)
    if n < 2:
        return None
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / math.sqrt(n)
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * error
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(
    values: Mapping[int, float], reference: Mapping[int, float], confidence: float = 0.95
) -> PairedDifference | None:
    """`values` minus `reference` seed by seed; None when they share no seed."""
    shared = sorted(values.keys() & reference.keys())
    if not shared:
        return None
    by_seed = {seed: values[seed] - reference[seed] for seed in shared}
    differences = list(by_seed.values())
    interval = mean_interval(differences, confidence)
    return PairedDifference(by_seed, float(np.mean(differences)), interval)


def difference_interval(
    values: Sequence[float], reference: Sequence[float], confidence: float = 0.95
) -> Interval | None:
    """Mean of `values` minus that of `reference`, which are independent and may vary differently.

    Welch's t-interval with Satterthwaite's degrees of freedom; None for fewer than two values on
    either side. `n` is the smaller number of values. Raises ValueError when one is not finite.
    """
    if not all(map(math.isfinite, (*values, *reference))):
        raise ValueError(f"values must be finite, got {list(values)} and {list(reference)}")
    sizes = len(values), len(reference)
    if min(sizes) < 2:
        return None
    mean = float(np.mean(values) - np.mean(reference))
    parts = [float(np.var(sample, ddof=1)) / len(sample) for sample in (values, reference)]
    variance = sum(parts)
    if variance == 0:
        return Interval(mean, mean, mean, min(sizes))
    freedom = variance**2 / sum(
        part**2 / (size - 1) for part, size in zip(parts, sizes, strict=True)
    )
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(variance)
    return Interval(mean, mean - half, mean + half, min(sizes))
