"""Holm's correction for many comparisons."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values that keep the chance of any false discovery (Holm 1979).

    The smallest of m is multiplied by m, the next by m - 1, and so on; none ends up smaller than
    one before it. A comparison that could not be tested (None) stays None and counts as one of the
    m, which errs on the safe side.
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(tested):
        highest = max(highest, min(1.0, p * (len(p_values) - rank)))
        adjusted[index] = highest
    return adjusted
