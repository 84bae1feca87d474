"""Many comparisons at once: every method against others, with Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from analysis.statistics.bootstrap import Estimate, difference, probability_of_improvement
from analysis.statistics.holm import holm
from analysis.statistics.scores import Scores
from analysis.tables.text_table import ABSENT, TextTable

PAIRED = (
    "Differences in percentage points of the average over benchmarks, on the seeds, benchmarks and "
    "problems that both methods have. The 95 % interval is over seeds and problems; Holm's p holds "
    "for all rows together; P(improvement) is the chance that a seed of the method beats a seed of "
    "the other on a benchmark."
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One method minus another, on the seeds, benchmarks and problems that both have."""

    method: str
    reference: str
    difference: Estimate | None
    """Of the means over benchmarks; None when the two share nothing."""
    improvement: float | None
    """See `bootstrap.probability_of_improvement`."""
    adjusted: float | None
    """The p-value of the difference, corrected for all comparisons made together."""


def compared(scores: Mapping[str, Scores], reference: str | None = None) -> list[Comparison]:
    """Every method against `reference`, or every pair of methods, the later minus the earlier.

    Raises KeyError for an unknown reference.
    """
    if reference is None:
        pairs = [(later, earlier) for earlier, later in combinations(scores, 2)]
    else:
        pairs = [(method, reference) for method in scores if method != reference]
    differences = [difference(scores[mine], scores[theirs]) for mine, theirs in pairs]
    adjusted = holm([found.p_value if found else None for found in differences])
    return [
        Comparison(
            mine,
            theirs,
            found,
            probability_of_improvement(scores[mine], scores[theirs]),
            p_value,
        )
        for (mine, theirs), found, p_value in zip(pairs, differences, adjusted, strict=True)
    ]


def comparison_table(comparisons: Sequence[Comparison]) -> TextTable:
    """Differences in percentage points, with n and p; what could not be computed is absent."""
    titles = ("method", "minus", "difference", "95 % interval", "p", "p (Holm)")
    rows = [
        (
            one.method,
            one.reference,
            _signed(one.difference.value if one.difference else None),
            _interval(one.difference),
            _p(one.difference.p_value if one.difference else None),
            _p(one.adjusted),
            ABSENT if one.improvement is None else f"{one.improvement:.2f}",
            str(one.difference.seeds) if one.difference else ABSENT,
            str(one.difference.problems) if one.difference else ABSENT,
            one.difference.refused if one.difference else "they share no seed or problem",
        )
        for one in comparisons
    ]
    more = ("P(improvement)", "seeds", "problems", "no interval because")
    return TextTable((*titles, *more), tuple(rows))


def _signed(value: float | None) -> str:
    return ABSENT if value is None else f"{100 * value:+.1f}"


def _interval(found: Estimate | None) -> str:
    if found is None or found.low is None:
        return ABSENT
    return f"[{_signed(found.low)}, {_signed(found.high)}]"


def _p(value: float | None) -> str:
    if value is None:
        return ABSENT
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
