"""Paired differences of methods over seeds and problems, with Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from analysis.statistics.bootstrap import Estimate, difference, probability_of_improvement
from analysis.statistics.holm import holm
from analysis.statistics.scores import Scores
from analysis.tables.numbers import ABSENT, interval, number, p_value
from analysis.tables.text_table import TextTable, without_empty_columns

PAIRED = (
    "Differences in percentage points of the average over benchmarks, on the seeds, benchmarks and "
    "problems that both methods have. The 95 % CI is over seeds and problems; Holm's p is "
    "corrected for all rows together; P(improvement) is the chance that a seed of the method beats "
    "a seed of the other on a benchmark."
)


@dataclass(frozen=True, slots=True)
class MethodDifference:
    """One method minus another, on the seeds, benchmarks and problems that both have."""

    method: str
    reference: str
    difference: Estimate | None
    """Of the means over benchmarks; None when the two share nothing."""
    improvement: float | None
    """See `bootstrap.probability_of_improvement`."""
    adjusted: float | None
    """The p-value of the difference, corrected for all comparisons made together."""

    @property
    def reason(self) -> str:
        """Why there is no difference or no interval; empty where there are both."""
        return self.difference.no_interval if self.difference else "no shared seed or problem"


def method_differences(
    scores: Mapping[str, Scores], reference: str | None = None
) -> list[MethodDifference]:
    """Every method against `reference`, or every pair of methods, the later minus the earlier.

    Raises KeyError for an unknown reference.
    """
    if reference is None:
        pairs = [(later, earlier) for earlier, later in combinations(scores, 2)]
    else:
        pairs = [(method, reference) for method in scores if method != reference]
    differences = [difference(scores[method], scores[other]) for method, other in pairs]
    adjusted = holm([found.p_value if found else None for found in differences])
    return [
        MethodDifference(
            method,
            other,
            found,
            probability_of_improvement(scores[method], scores[other]),
            p,
        )
        for (method, other), found, p in zip(pairs, differences, adjusted, strict=True)
    ]


def differences_table(differences: Sequence[MethodDifference]) -> TextTable:
    """Differences in percentage points; what could not be computed is absent."""
    titles = ("method", "compared with", "difference", "95 % CI", "p", "p (Holm)")
    more = ("P(improvement)", "seeds", "problems", "reason")
    rows = []
    for item in differences:
        found = item.difference
        points = [100 * x if x is not None else None for x in _ends(found)]
        rows.append(
            (
                item.method,
                item.reference,
                number(points[0], "+.1f"),
                interval(points[1], points[2], "+.1f"),
                p_value(found.p_value if found else None),
                p_value(item.adjusted),
                number(item.improvement, ".2f"),
                str(found.seeds) if found else ABSENT,
                str(found.problems) if found else ABSENT,
                item.reason,
            )
        )
    return without_empty_columns(TextTable((*titles, *more), tuple(rows)), ("reason",))


def differences_frame(differences: Sequence[MethodDifference]) -> pd.DataFrame:
    """Unrounded, as fractions: method, minus (the other method), difference, low, high, p, p_holm,
    improvement, seeds, problems, reason (why there is no interval)."""
    records = []
    for item in differences:
        found = item.difference
        value, low, high = _ends(found)
        records.append(
            {
                "method": item.method,
                "minus": item.reference,
                "difference": value,
                "low": low,
                "high": high,
                "p": found.p_value if found else None,
                "p_holm": item.adjusted,
                "improvement": item.improvement,
                "seeds": found.seeds if found else 0,
                "problems": found.problems if found else 0,
                "reason": item.reason,
            }
        )
    return pd.DataFrame(records)


def _ends(found: Estimate | None) -> tuple[float | None, float | None, float | None]:
    return (found.value, found.low, found.high) if found else (None, None, None)
