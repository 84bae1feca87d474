"""Which differences a number of seeds can show: the power of the paired t-test.

S seeds of two settings give S paired differences d_s. When those are normal with mean D and
standard deviation sd, t = mean(d) sqrt(S) / sd_S(d) follows the noncentral t distribution with
S - 1 degrees of freedom and noncentrality D sqrt(S) / sd (Student 1908; Cohen 1988, ch. 2). The
test is two-sided. Everything here is exact under that assumption, to six digits, down to two seeds.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm
from scipy.stats import t as student_t

ALPHA = 0.05
"""Probability of calling two equal settings different."""
POWER = 0.8
"""Probability of seeing a difference that is there, which a planned number of seeds should have."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(500)
_QUANTILES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


def power(effect: float, sd: float, seeds: int, alpha: float = ALPHA) -> float | None:
    """Probability that a mean difference of `effect` is found significant; None for one seed.

    effect, sd: in units of the metric; sd > 0 is that of a paired difference.
    """
    if seeds < 2:
        return None
    shift = abs(effect) / sd * math.sqrt(seeds)
    freedom = seeds - 1
    limit = float(student_t.ppf(1 - alpha / 2, freedom))

    # Given the sample's standard deviation (in units of sd) the mean is normal; averaged over its
    # distribution this is the noncentral t, whose own implementation gives nan far from its mode.
    seen = limit * np.sqrt(chi2.ppf(_QUANTILES, freedom) / freedom)
    rejected = norm.sf(seen - shift) + norm.cdf(-seen - shift)
    return min(1.0, float(_WEIGHTS @ rejected))


def detectable_effect(
    sd: float, seeds: int, alpha: float = ALPHA, target: float = POWER
) -> float | None:
    """The smallest difference that is found with probability `target`; None for one seed."""
    if seeds < 2:
        return None

    def missing(effect_in_sd: float) -> float:
        return (power(effect_in_sd, 1.0, seeds, alpha) or 0.0) - target

    high = 1.0
    while missing(high) < 0:
        high *= 2
    return sd * float(brentq(missing, 0.0, high, xtol=1e-9))


def seeds_needed(
    effect: float, sd: float, alpha: float = ALPHA, target: float = POWER, most: int = 10_000
) -> int | None:
    """Fewest seeds that find `effect` with probability `target`; None if more than `most`."""
    low, high = 1, 2
    while (power(effect, sd, high, alpha) or 0.0) < target:
        low, high = high, 2 * high
        if low >= most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if (power(effect, sd, middle, alpha) or 0.0) < target:
            low = middle
        else:
            high = middle
    return high if high <= most else None
