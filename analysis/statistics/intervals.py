"""Student and Welch intervals over a handful of seeds; one seed has no interval.

Nor have seeds whose values are all the same: that is what a coarse metric or a bug looks like, and
says nothing about how much other seeds would differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from conspo_study.statistics.contrast import Contrast, mean_contrast, paired_contrast, usable
from conspo_study.statistics.paired_spread import FEWEST_SEEDS as FEWEST_SEEDS


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
    """Mean and Student-t interval over independent seeds; None for fewer than two, and where they
    are all the same.

    Raises ValueError when a value is not finite: such a mean would hide a failed run.
    """
    if not all(map(math.isfinite, values)):
        raise ValueError(f"values must be finite, got {list(values)}")
    n = len(values)
    found, _ = usable(mean_contrast(values) if n > 1 else None, values)
    return None if found is None else Interval(found.value, *found.interval(confidence), n)


def paired_difference(
    values: Mapping[int, float], reference: Mapping[int, float], confidence: float = 0.95
) -> PairedDifference | None:
    """`values` minus `reference` seed by seed; None when they share no seed."""
    shared = sorted(values.keys() & reference.keys())
    if not shared:
        return None
    by_seed = {seed: values[seed] - reference[seed] for seed in shared}
    found, _ = paired_contrast(values, reference)
    ends = Interval(found.value, *found.interval(confidence), len(shared)) if found else None
    return PairedDifference(by_seed, float(np.mean(list(by_seed.values()))), ends)


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
    found = difference_contrast(values, reference)
    return Interval(found.value, *found.interval(confidence), min(sizes))


def difference_contrast(values: Sequence[float], reference: Sequence[float]) -> Contrast:
    """Mean of `values` minus that of `reference`, independent, two or more each: Welch's error and
    Satterthwaite's degrees of freedom."""
    mean = float(np.mean(values) - np.mean(reference))
    samples = (values, reference)
    parts = [float(np.var(sample, ddof=1)) / len(sample) for sample in samples]
    variance = sum(parts)
    if variance == 0:
        return Contrast(mean, 0.0, min(map(len, samples)) - 1)
    freedom = variance**2 / sum(
        part**2 / (len(sample) - 1) for part, sample in zip(parts, samples, strict=True)
    )
    return Contrast(mean, math.sqrt(variance), freedom)
