"""Paired differences of methods over seeds and problems, tested as one family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.findings.metric_difference import MARGIN, size_of
from analysis.load.published import BASE
from analysis.statistics.bootstrap import Estimate, difference, probability_of_improvement
from analysis.statistics.family_tests import FamilyTest, Verdict, family_tests
from analysis.statistics.scores import Scores
from analysis.tables.numbers import ABSENT, interval, number, p_value
from analysis.tables.text_table import TextTable, without_empty_columns
from conspo_study.statistics.family import Family, study_family

AVERAGE = "the average over benchmarks"
"""What differs unless the studies' metric is among the scores."""


@dataclass(frozen=True, slots=True)
class MethodDifference:
    """One method minus another, on the seeds, benchmarks and problems that both have."""

    method: str
    reference: str
    difference: Estimate | None
    """Of the means over benchmarks; None when the two share nothing."""
    improvement: float | None
    """See `bootstrap.probability_of_improvement`."""
    tested: FamilyTest
    """As one of the family of all differences made together."""
    verdict: Verdict

    @property
    def adjusted(self) -> float | None:
        """The p-value of the difference, corrected for all comparisons made together."""
        return self.tested.adjusted

    @property
    def detectable_range(self) -> tuple[float, float] | None:
        """See `FamilyTest.detectable_range`."""
        return self.tested.detectable_range(self.difference.seeds if self.difference else 0)

    @property
    def reason(self) -> str:
        """Why there is no difference or no interval; empty where there are both."""
        return self.difference.no_interval if self.difference else "no shared seed or problem"


def method_differences(
    scores: Mapping[str, Scores],
    against: Family | str | None = None,
    *,
    lower_is_better: bool = False,
) -> list[MethodDifference]:
    """The differences of a family of methods, or of all methods to one; by default of every pair of
    methods, the later minus the earlier.

    The untrained policy is none of them: training makes some sets worse by design. A method of the
    family that has no scores counts as a comparison. Raises KeyError for an unknown reference.
    """
    names = [name for name in scores if name != BASE]
    if isinstance(against, str) and against not in names:
        raise KeyError(against)
    family = against if isinstance(against, Family) else _family(names, against)
    found = [_difference(scores, *pair) for pair in family.pairs]
    tests = family_tests(
        [one.contrast if one else None for one in found], family, margin_of(family)
    )
    return [
        MethodDifference(
            method,
            other,
            one,
            _improvement(scores, method, other),
            test,
            test.verdict(one.seeds if one else 0, lower_is_better=lower_is_better),
        )
        for (method, other), one, test in zip(family.pairs, found, tests, strict=True)
    ]


def margin_of(family: Family) -> float:
    """The margin of equivalence, as a fraction: scores of methods are shares."""
    return family.margin or MARGIN


def paired_text(family: Family, metric: str = AVERAGE) -> str:
    """What the table of a family's differences holds, in sentences. metric: what differs."""
    author = family.correction.author
    return (
        f"Differences in percentage points of {metric}, on the seeds, benchmarks and problems that "
        "both methods have. The 95 % CI is over seeds and problems. "
        f"p ({author}) is corrected for all rows together, which are one family. Found: at 5 % of "
        f"the family; equivalent is within {size_of(margin_of(family), True)}. Could detect: the "
        "true difference that is found with probability 80 % or more, whatever else is true "
        "(upper 80 % limit of the standard error). P(improvement) is the chance that a seed of the "
        "method beats a seed of the other on a benchmark. Raw p and CI are of each row alone."
    )


def differences_table(differences: Sequence[MethodDifference], author: str = "Holm") -> TextTable:
    """Differences in percentage points; what could not be computed is absent. author: of the
    correction."""
    titles = ("method", "compared with", "difference", "95 % CI", "p", f"p ({author})", "found")
    more = ("could detect", "P(improvement)", "seeds", "problems", "reason")
    rows = []
    for item in differences:
        found = item.difference
        points = [100 * x if x is not None else None for x in _ends(found)]
        plausible = item.detectable_range
        rows.append(
            (
                item.method,
                item.reference,
                number(points[0], "+.1f"),
                interval(points[1], points[2], "+.1f"),
                p_value(found.p_value if found else None),
                p_value(item.adjusted),
                str(item.verdict) if found else ABSENT,
                number(100 * plausible[1] if plausible else None, ".1f"),
                number(item.improvement, ".2f"),
                str(found.seeds) if found else ABSENT,
                str(found.problems) if found else ABSENT,
                item.reason,
            )
        )
    table = TextTable((*titles, *more), tuple(rows), frozenset({"p", f"p ({author})"}))
    return without_empty_columns(table, ("reason",))


def differences_frame(differences: Sequence[MethodDifference]) -> pd.DataFrame:
    """Unrounded, as fractions: method, minus (the other method), difference, low, high, low_family
    and high_family (ends of the intervals that hold for all rows at once), p, p_corrected,
    p_equivalence (that it is as large as the margin, corrected), found (the verdict), detectable,
    detectable_low, detectable_high (for the spread as estimated, and its 80 % limits), improvement,
    seeds, problems, reason (why there is no interval)."""
    records = []
    for item in differences:
        found, test = item.difference, item.tested
        value, low, high = _ends(found)
        family = test.family_interval or (None, None)
        plausible = item.detectable_range or (None, None)
        records.append(
            {
                "method": item.method,
                "minus": item.reference,
                "difference": value,
                "low": low,
                "high": high,
                "low_family": family[0],
                "high_family": family[1],
                "p": found.p_value if found else None,
                "p_corrected": item.adjusted,
                "p_equivalence": test.equivalence,
                "found": str(item.verdict) if found else "",
                "detectable": test.detectable(),
                "detectable_low": plausible[0],
                "detectable_high": plausible[1],
                "improvement": item.improvement,
                "seeds": found.seeds if found else 0,
                "problems": found.problems if found else 0,
                "reason": item.reason,
            }
        )
    return pd.DataFrame(records)


def _family(names: Sequence[str], reference: str | None) -> Family:
    return study_family(names, None if reference is None else {"reference": reference})


def _difference(scores: Mapping[str, Scores], method: str, other: str) -> Estimate | None:
    if method not in scores or other not in scores:
        return None
    return difference(scores[method], scores[other])


def _improvement(scores: Mapping[str, Scores], method: str, other: str) -> float | None:
    if method not in scores or other not in scores:
        return None
    return probability_of_improvement(scores[method], scores[other])


def _ends(found: Estimate | None) -> tuple[float | None, float | None, float | None]:
    return (found.value, found.low, found.high) if found else (None, None, None)
