"""Power of the paired t-test: the differences that a number of seeds can show.

S seeds of two settings give S paired differences d_s. When those are normal with mean D and
standard deviation sd, t = mean(d) sqrt(S) / sd_S(d) follows the noncentral t distribution with
S - 1 degrees of freedom and noncentrality D sqrt(S) / sd (Student 1908; Cohen 1988, ch. 2). The
test is two-sided. All results are exact under that assumption, to six digits, down to two seeds.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaincinv, ndtr, stdtrit  # scipy.stats takes a second to import

ALPHA = 0.05
"""Significance level: probability of calling two equal settings different."""
POWER = 0.8
"""Target power: probability of detecting a true difference, for planning a number of seeds."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(500)
_QUANTILES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


def power(effect: float, sd: float, seeds: int, alpha: float = ALPHA) -> float | None:
    """Probability that a true mean difference `effect` is found significant; None for one seed.

    effect, sd: in units of the metric; sd > 0 is the standard deviation of a paired difference.
    """
    if seeds < 2:
        return None
    shift = abs(effect) / sd * math.sqrt(seeds)
    freedom = seeds - 1
    limit = float(stdtrit(freedom, 1 - alpha / 2))

    # Given the sample's standard deviation (in units of sd), the mean is normal. Averaging over its
    # distribution gives the noncentral t; scipy's implementation of that is nan far from the mode.
    threshold = limit * np.sqrt(2 * gammaincinv(freedom / 2, _QUANTILES) / freedom)
    rejected = ndtr(shift - threshold) + ndtr(-threshold - shift)
    return min(1.0, float(_WEIGHTS @ rejected))


def detectable_effect(
    sd: float, seeds: int, alpha: float = ALPHA, target: float = POWER
) -> float | None:
    """The smallest difference detected with probability `target`; None for one seed."""
    if seeds < 2:
        return None

    def is_found(effect_in_sd: float) -> bool:
        return (power(effect_in_sd, 1.0, seeds, alpha) or 0.0) >= target

    low, high = 0.0, 1.0
    while not is_found(high):
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if is_found(middle) else (middle, high)
    return sd * high


def seeds_needed(
    effect: float, sd: float, alpha: float = ALPHA, target: float = POWER, most: int = 10_000
) -> int | None:
    """The fewest seeds that detect `effect` with probability `target`; None if more than `most`."""
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
