"""Equivalence of two settings, and intervals that hold for a whole family at once.

Two one-sided tests (Schuirmann 1987): the truth lies within a margin where both t-tests, that it is
not above the margin and that it is not below minus the margin, reject. That is so at level alpha
exactly where the interval of confidence 1 - 2 alpha lies inside the margin. A difference of which
nothing says how well it is known (an error of 0) shows no equivalence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.special import stdtr  # scipy.stats takes a second to import

from conspo_study.statistics.contrast import Contrast


def equivalence_p(contrast: Contrast, margin: float) -> float:
    """p-value of the test that the true difference is `margin` or more away from zero.

    margin: in units of the contrast, positive. A small value says that it is closer; 1 where the
    contrast has no error, which tells nothing. Raises ValueError for any other margin.
    """
    _check(margin)
    if contrast.error <= 0:
        return 1.0
    room = (margin - abs(contrast.value)) / contrast.error
    return float(stdtr(contrast.freedom, -room))


def simultaneous_intervals(
    contrasts: Sequence[Contrast | None], confidence: float = 0.95
) -> list[tuple[float, float] | None]:
    """Two-sided intervals, one a contrast, that all hold at once with probability `confidence`.

    Bonferroni's: each holds at 1 - (1 - confidence) / m, at any dependence between them. None, a
    comparison that could not be made, is one of the m all the same.
    """
    share = (1 - confidence) / max(1, len(contrasts))
    return [one.interval(1 - share) if one else None for one in contrasts]


def _check(margin: float) -> None:
    if not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"the margin of an equivalence is a positive number, not {margin}")
