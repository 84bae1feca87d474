"""A difference with its standard error, from which interval, test and power follow alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit  # scipy.stats takes a second to import

from conspo_study.statistics.power import ALPHA, POWER, detectable_shift

ONE_SEED = "a single seed"
NO_SPREAD = "the values do not vary between seeds"
"""Reasons for having no interval."""
_ROUNDING = 1e-12
"""A spread below this share of the values is rounding."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """An estimate whose error follows Student's t."""

    value: float
    error: float
    """Its standard error, not negative."""
    freedom: float
    """Degrees of freedom of the standard error."""

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Ends of the two-sided interval."""
        half = float(stdtrit(self.freedom, (1 + confidence) / 2)) * self.error
        return self.value - half, self.value + half

    @property
    def p_value(self) -> float | None:
        """Of the two-sided t-test that the truth is zero; None without an error."""
        if self.error == 0:
            return None
        return 2 * float(stdtr(self.freedom, -abs(self.value) / self.error))

    def detectable(self, alpha: float = ALPHA, target: float = POWER) -> float:
        """The smallest true difference that the test at level alpha finds with probability
        `target`, with this error."""
        return self.error * detectable_shift(self.freedom, alpha, target)


def mean_contrast(values: Sequence[float]) -> Contrast:
    """The mean of two independent values or more, with its error."""
    n = len(values)
    return Contrast(float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(n), n - 1)


def usable(contrast: Contrast | None, values: Sequence[float]) -> tuple[Contrast | None, str]:
    """The contrast, or why it is none. values: those that it was computed from; None: of one."""
    if contrast is None:
        return None, ONE_SEED
    if contrast.error <= _ROUNDING * max(map(abs, values)):
        return None, NO_SPREAD
    return contrast, ""


def paired_contrast(
    values: Mapping[int, float], reference: Mapping[int, float]
) -> tuple[Contrast | None, str]:
    """The mean difference over the seeds that both have, or why it has no error; at least one."""
    shared = sorted(values.keys() & reference.keys())
    differences = [values[seed] - reference[seed] for seed in shared]
    involved = [side[seed] for side in (values, reference) for seed in shared]
    return usable(mean_contrast(differences) if len(shared) > 1 else None, involved)
