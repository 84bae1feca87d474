"""Detectable differences of a family of comparisons, and the critical values of its test.

Holm's first step is Bonferroni's: |t| is held against the two-sided t-test at 5 % / m. Dunnett's
test holds all |t_j| against the quantile of their maximum. With equal variances, differences to one
reference have correlation 1/2 and, given the reference's error z and the pooled standard deviation
s (in units of the true one), are independent:

    P(max_j |t_j| <= c) = E_s E_z [Phi(z + c s sqrt(2)) - Phi(z - c s sqrt(2))]^m

Its standard error pools the differences. The variances of m differences to one reference have
correlation 1/4, so their mean is known as well as one variance with 4 m / (m + 3) times the degrees
of freedom.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import gammaincinv, ndtr, ndtri, stdtrit  # scipy.stats takes a second to import

from conspo_study.statistics.family import Correction, Family
from conspo_study.statistics.power import ALPHA, POWER, shift_beyond

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(80)
_QUANTILES, _SHARES = (_NODES + 1) / 2, _WEIGHTS / 2
_REACH = 8.0
_KNOWN = 1e6
"""Degrees of freedom of a standard error that is as good as known."""
_Z = _REACH * _NODES
_DENSITY = _REACH * _WEIGHTS * np.exp(-_Z * _Z / 2) / math.sqrt(2 * math.pi)


def dunnett_p(t: float, comparisons: int, freedom: float) -> float:
    """Probability that any of so many |t_j| is `t` or more when no difference is real, for
    differences to one reference with a pooled standard error of `freedom` degrees of freedom."""
    scale = np.sqrt(2 * gammaincinv(freedom / 2, _QUANTILES) / freedom)
    reach = abs(t) * scale[:, None] * math.sqrt(2)
    inside = (ndtr(_Z + reach) - ndtr(_Z - reach)) ** comparisons
    return min(1.0, max(0.0, 1.0 - float(_SHARES @ (inside @ _DENSITY))))


def pooled_freedom(freedom: float, comparisons: int) -> float:
    """Degrees of freedom of the mean variance of differences to one reference, each with
    `freedom`."""
    return freedom * 4 * comparisons / (comparisons + 3)


def critical(family: Family, freedom: float, alpha: float = ALPHA) -> float:
    """What |t| has to exceed for the first discovery of a family.

    freedom: of the standard error that the test uses (Dunnett's: the pooled one).
    """
    if family.correction is Correction.HOLM or family.size == 1:
        return float(stdtrit(freedom, 1 - alpha / (2 * family.size)))
    return _dunnett_critical(family.size, freedom, alpha)


@lru_cache(1024)
def _dunnett_critical(comparisons: int, freedom: float, alpha: float) -> float:
    low = float(stdtrit(freedom, 1 - alpha / 2))  # of a single comparison
    high = float(stdtrit(freedom, 1 - alpha / (2 * comparisons)))  # Bonferroni's
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        above = dunnett_p(middle, comparisons, freedom) > alpha
        low, high = (middle, high) if above else (low, middle)
    return high


def family_shift(
    family: Family, freedom: float, alpha: float = ALPHA, target: float = POWER
) -> float:
    """The smallest difference, in standard errors, that the family's test finds with probability
    `target`, whatever the other differences are.

    freedom: of the standard error of one difference.
    """
    if family.correction is Correction.DUNNETT:
        freedom = pooled_freedom(freedom, family.size)
    return shift_beyond(freedom, critical(family, freedom, alpha), target)


def least_shift(family: Family) -> float:
    """`family_shift` of a standard error that is known: no test of the family finds less, however
    many degrees of freedom its data have."""
    return critical(family, _KNOWN) + float(ndtri(POWER))
