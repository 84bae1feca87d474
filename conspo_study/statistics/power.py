"""Power of t-tests: the differences that a number of seeds can show.

S seeds of two settings give S paired differences d_s. When those are normal with mean D and
standard deviation sd, t = mean(d) sqrt(S) / sd_S(d) follows the noncentral t distribution with
S - 1 degrees of freedom and noncentrality D sqrt(S) / sd (Student 1908; Cohen 1988, ch. 2). The
test is two-sided. All results are exact under that assumption, to six digits, down to two seeds.
Of any other estimate with a standard error and its degrees of freedom, `rejection` and
`detectable_shift` say the same in units of that error.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import chdtri, gammaincinv, ndtr, stdtrit  # scipy.stats takes a second to import

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
    return rejection(abs(effect) / sd * math.sqrt(seeds), seeds - 1, alpha)


def rejection(shift: float, freedom: float, alpha: float = ALPHA) -> float:
    """Probability that the two-sided t-test rejects when the truth is `shift` standard errors from
    zero."""
    return beyond(shift, freedom, float(stdtrit(freedom, 1 - alpha / 2)))


def beyond(shift: float, freedom: float, limit: float) -> float:
    """Probability that |t| is above `limit` when the truth is `shift` standard errors from zero."""
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
    return sd / math.sqrt(seeds) * detectable_shift(seeds - 1, alpha, target)


def detectable_shift(freedom: float, alpha: float = ALPHA, target: float = POWER) -> float:
    """The smallest difference, in standard errors, detected with probability `target`."""
    return shift_beyond(freedom, float(stdtrit(freedom, 1 - alpha / 2)), target)


@lru_cache(1024)
def shift_beyond(freedom: float, limit: float, target: float = POWER) -> float:
    """The smallest difference, in standard errors, at which |t| is above `limit` with probability
    `target`."""
    low, high = 0.0, 1.0
    while beyond(high, freedom, limit) < target:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        found = beyond(middle, freedom, limit) >= target
        low, high = (low, middle) if found else (middle, high)
    return high


def spread_range(freedom: float, confidence: float = 0.8) -> tuple[float, float]:
    """Factors between which the true standard deviation lies, in units of an estimate of it with so
    many degrees of freedom, for normal values."""
    tail = (1 - confidence) / 2
    low, high = chdtri(freedom, tail), chdtri(freedom, 1 - tail)
    return math.sqrt(freedom / low), math.sqrt(freedom / high)


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
