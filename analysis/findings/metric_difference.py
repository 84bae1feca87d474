"""Differences of two trials in the study's metric, and what the tests of their family show.

Where the responses of the metric's last evaluation are stored, a difference is over seeds and
problems (the two-level bootstrap); else it is Student's over seeds, on the problems that were
evaluated. Its standard error is its own: trials that differ in objective, learning rate or
staleness vary differently from seed to seed, and a spread pooled over them fits none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.load.study import StudyResults
from analysis.load.text import visible
from analysis.statistics.bootstrap import difference
from analysis.statistics.family_tests import FamilyTest, Verdict, family_tests
from analysis.statistics.intervals import FEWEST_SEEDS, paired_difference
from analysis.statistics.scores import Scores
from analysis.tables.numbers import interval, p_value
from conspo_study.statistics.contrast import ONE_SEED, Contrast, paired_contrast
from conspo_study.statistics.family import Family
from conspo_study.statistics.power import POWER
from conspo_study.text import counted

MARGIN = 0.02
"""Differences of shares below it count as none unless a study says otherwise: two points."""
_SHARES = ("avg", "pass", "maj", "greedy")


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """A trial minus another, on the seeds that both have."""

    value: float
    by_seed: Mapping[int, float]
    """From the log."""
    contrast: Contrast | None
    """The difference with its standard error; None where nothing says how well it is known."""
    problems: int = 0
    """Shared problems; 0 where they are taken as fixed."""
    reason: str = ""
    """Why there is no standard error."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A difference as one of a family."""

    difference: MetricDifference | None
    """None where the two share no seed."""
    tested: FamilyTest
    verdict: Verdict
    family: Family
    margin: float | None
    """Of equivalence, in units of the metric."""
    share: bool
    """Whether the metric is one, between 0 and 1."""

    @property
    def finding(self) -> str:
        """`better`, `worse`, `equivalent within 2 points` or `undecided`."""
        if self.verdict is not Verdict.EQUIVALENT or self.margin is None:
            return str(self.verdict)
        return f"equivalent within {size_of(self.margin, self.share)}"

    @property
    def detectable_range(self) -> tuple[float, float] | None:
        """See `FamilyTest.detectable_range`."""
        return self.tested.detectable_range(len(self.difference.by_seed) if self.difference else 0)

    @property
    def could_detect(self) -> str:
        """The difference that these seeds find with probability 80 % or more, as a clause; empty
        for too few seeds to know."""
        ends = self.detectable_range
        if ends is None:
            return ""
        low, high = (_amount(end, self.share) for end in ends)
        estimate = self.tested.detectable()
        assert estimate is not None
        return (
            f"a true difference of {high} would have been found with probability "
            f"{100 * POWER:.0f} % or more ({_amount(estimate, self.share)} by the spread as "
            f"estimated, {low} at best)"
        )


def metric_difference(
    values: Mapping[int, float],
    reference: Mapping[int, float],
    scores: tuple[Scores | None, Scores | None] = (None, None),
) -> MetricDifference | None:
    """`values` minus `reference`, both the metric by seed; None when they share no seed.

    scores: the same by seed and problem. They count where they hold all shared seeds.
    """
    paired = paired_difference(values, reference)
    if paired is None:
        return None
    first, second = scores
    if first is not None and second is not None:
        found = difference(first, second)
        if found is not None and found.seeds == len(paired.by_seed):
            return MetricDifference(
                found.value, paired.by_seed, found.contrast, found.problems, found.no_interval
            )
    contrast, reason = paired_contrast(values, reference)
    return MetricDifference(paired.mean, paired.by_seed, contrast, 0, reason)


def judged(
    differences: Sequence[MetricDifference | None],
    family: Family,
    *,
    share: bool,
    lower_is_better: bool = False,
) -> list[Judged]:
    """The differences of a family, in the order of its pairs, with what its tests show."""
    margin = family.margin or (MARGIN if share else None)
    tests = family_tests([one.contrast if one else None for one in differences], family, margin)
    return [
        Judged(
            one,
            test,
            test.verdict(len(one.by_seed) if one else 0, lower_is_better=lower_is_better),
            family,
            margin,
            share,
        )
        for one, test in zip(differences, tests, strict=True)
    ]


def is_share(study: StudyResults) -> bool:
    """Whether the study's metric lies between 0 and 1: an average over right and wrong answers."""
    kind = study.metric.rpartition("/")[2].partition("@")[0]
    return not study.function and study.metric.startswith("eval/") and kind in _SHARES


def difference_text(one: Judged, subject: str = "") -> str:
    """`+0.012, 95 % CI [+0.002, +0.022], paired over 3 seeds: better`.

    subject: what is better or worse, such as `the winner is`.
    """
    found = one.difference
    if found is None:
        return "no difference, because they share no seed"
    seeds = len(found.by_seed)
    over = f"paired over {counted(seeds, 'seed')}"
    over += f" and {counted(found.problems, 'problem')}" if found.problems else ""
    contrast = one.tested.contrast
    if contrast is None:
        why = "" if found.reason == ONE_SEED else f" ({found.reason})"
        return f"{found.value:+.3f}, {over}: no interval and no claim{why}"
    shown = f"{found.value:+.3f}, 95 % CI {interval(*contrast.interval(), '+.3f')}"
    if one.family.size > 1:
        shown += f", {one.family.correction.author}'s p {p_value(one.tested.adjusted)}"
    if seeds < FEWEST_SEEDS:
        return f"{shown}, {over}: too few for a claim"
    finding = one.finding
    if one.verdict in (Verdict.BETTER, Verdict.WORSE):
        finding = f"{subject} {finding}".strip()
    return f"{shown}, {over}: {finding}"


def family_text(family: Family) -> str:
    """The family in a sentence; empty for a single comparison."""
    if family.size == 1:
        return ""
    reference = family.reference
    to = f" with {visible(reference, 60)}" if reference and family.declared else ""
    return (
        f"The {family.size} comparisons{to} are one family, for which {family.correction.author}'s "
        "p is corrected; each interval is for its own difference."
    )


def size_of(size: float, share: bool) -> str:
    """`2 points` of a share, or the number."""
    if not share:
        return f"{size:.3g}"
    points = f"{100 * size:.3g}"
    return f"{points} point" if points == "1" else f"{points} points"


def _amount(size: float, share: bool) -> str:
    if not share:
        return f"{size:.3g}"
    if size >= 1:
        return "more than the metric can vary"
    return f"{size:.3f} ({100 * size:.1f} points)"
