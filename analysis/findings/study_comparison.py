"""The differences of two studies, A and B, in the trials that they share; always B minus A."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from analysis.findings.collapses import collapse_notes
from analysis.findings.final_scores import final_scores
from analysis.findings.matching import Match, definition_differences, differing_data, matched
from analysis.findings.metric_difference import (
    MARGIN,
    MetricDifference,
    is_share,
    metric_difference,
    size_of,
)
from analysis.findings.naming import describe
from analysis.findings.pooled_comparison import Pooled, pooled
from analysis.findings.study_family import declared_family
from analysis.findings.undecided import undecided_notes
from analysis.load.study import StudyResults
from analysis.load.text import metric_label, visible
from analysis.statistics.family_tests import FamilyTest, Verdict, family_tests
from analysis.statistics.intervals import FEWEST_SEEDS
from analysis.statistics.scores import Scores
from analysis.tables.numbers import ABSENT, interval, number, p_value
from analysis.tables.text_table import TextTable, without_empty_columns
from conspo_study.statistics.family import Family
from conspo_study.text import counted

_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class TrialDifference:
    """The trial of B minus that of A, on the seeds and problems that both have."""

    match: Match
    difference: MetricDifference | None
    """Of the study's metric; None where no seed is shared."""
    scores: tuple[Scores | None, Scores | None] = (None, None)
    """Of B and of A by seed and problem."""
    tested: FamilyTest | None = None
    """As one of the family of all matches."""
    not_compared: str = ""
    """Why there is no difference, for people."""

    @property
    def adjusted(self) -> float | None:
        """Holm's p over all matches."""
        return self.tested.adjusted if self.tested else None

    @property
    def reason(self) -> str:
        """Why there is no difference or no interval; empty where there are both."""
        return self.not_compared or (self.difference.reason if self.difference else "")


@dataclass(frozen=True, slots=True)
class StudyComparison:
    """Two studies and the differences between them."""

    a: StudyResults
    b: StudyResults
    definitions: tuple[str, ...]
    """Differing settings, sources and packages, a line each."""
    differences: tuple[TrialDifference, ...]
    unmatched: tuple[str, ...]
    """Trials without a partner, in words."""
    together: Pooled | None
    """All matching search trials in one test; None for fewer than two, and without a seed that all
    of them share."""
    margin: float | None
    """Differences below it count as none, in units of the metric."""
    notes: tuple[str, ...] = ()
    """What was decided, in sentences."""


class NotComparable(ValueError):
    """The numbers of two studies are about different things; the message says which."""


def compare(a: StudyResults, b: StudyResults, margin: float | None = None) -> StudyComparison:
    """Match the trials of two studies and compare them, one by one and all together.

    margin: differences below it count as none; by default what the studies declare, if they do
    not contradict each other, else two points of a share. Raises NotComparable when the studies
    were measured on different problems or by different metrics.
    """
    _check_comparable(a, b)
    if margin is not None and not 0 < margin < math.inf:
        raise NotComparable(f"--margin {margin:g} is not a positive number")
    declared = {found for study in (a, b) if (found := declared_family(study).margin)}
    notes = () if margin or len(declared) < 2 else (_two_margins(a, b),)
    if margin is None and len(declared) == 1:
        (margin,) = declared
    margin = margin or (MARGIN if is_share(a) else None)
    matches = matched(a, b)
    raw = [_difference(a, b, match) for match in matches]
    family = Family(tuple((match.b.id, match.a.id) for match in matches))
    contrasts = [one.difference.contrast if one.difference else None for one in raw]
    tests = family_tests(contrasts, family, margin)
    differences = [replace(item, tested=test) for item, test in zip(raw, tests, strict=True)]
    searched = [one for one in differences if one.difference and not one.match.a.of]
    return StudyComparison(
        a,
        b,
        tuple(definition_differences(a, b)),
        tuple(differences),
        tuple(_unmatched(a, b, matches)),
        pooled(
            [one.difference.by_seed for one in searched if one.difference],
            [one.scores for one in searched],
        ),
        margin,
        notes,
    )


def comparison_lines(comparison: StudyComparison) -> list[str]:
    """The comparison in sentences that claim no more than it shows; the first says what A and B
    are."""
    a, b = comparison.a, comparison.b
    lines = [
        visible(f"A: {a.name} in {a.folder}. B: {b.name} in {b.folder}.", 1000)
        + " Differences are B minus A."
    ]
    lines += [f"Differs: {line}." for line in comparison.definitions]
    if not comparison.definitions:
        lines.append("Definitions, sources and packages are the same.")
    if a.function:
        lines.append(
            "The data of training functions are not hashed: whether they are the same is not known."
        )
    lines += comparison.notes
    if not comparison.differences:
        lines.append("No trial of A has a partner in B: nothing is compared.")
    for item in comparison.differences:
        names = f"{describe(b, item.match.b)} minus {describe(a, item.match.a)}"
        only = "" if item.match.by == "configuration" else " only"
        kind = f"the same {item.match.by}{only}"
        lines.append(f"{names}, {kind}: {_verdict(item, comparison)}.")
    if comparison.together is not None:
        lines.append(_together(comparison.together, comparison))
    for side, study in (("A", a), ("B", b)):
        notes = [*collapse_notes(study), *undecided_notes(study)]
        lines += [f"{side}: {note}" for note in notes]
    return [*lines, *comparison.unmatched]


def comparison_table(comparison: StudyComparison) -> TextTable:
    """One row per match; differences of the metric as logged, and over problems from responses.

    Without responses the interval and p are Student's over seeds.
    """
    metric = metric_label(comparison.a.metric)
    logged = ("A", "B", "matched by", f"{metric} A", f"{metric} B", "B - A", "seeds")
    judged = ("B - A by problem", "95 % CI", "p", "p (Holm)", "problems", "reason")
    rows = tuple(map(_row, comparison.differences))
    return without_empty_columns(
        TextTable((*logged, *judged), rows, frozenset({"p", "p (Holm)"})), ("reason",)
    )


def _check_comparable(a: StudyResults, b: StudyResults) -> None:
    names = f"{a.folder} and {b.folder}"
    if differing := differing_data(a, b):
        raise NotComparable(
            f"{names} were measured on different problems in {', '.join(differing)}: the "
            "content of these sets differs, so a difference would be that of the problems"
        )
    for what in ("metric", "direction"):
        values = getattr(a, what), getattr(b, what)
        if values[0] != values[1]:
            raise NotComparable(
                f"{names} have the {what} {values[0]} and {values[1]}, which do not compare; run "
                f"one of them again with the {what} of the other, under another --name"
            )
    if not (a.data and b.data) and not (a.function and b.function):
        raise NotComparable(
            f"{b.folder if a.data else a.folder} does not say which problems it was measured on "
            "(study.json has no hashes of data), so nothing can be compared"
        )


def _difference(a: StudyResults, b: StudyResults, match: Match) -> TrialDifference:
    sides = ((a, match.a), (b, match.b))
    for study, row in sides:
        if not row.state.has_result:
            reason = f"{row.id} of {study.name} is {row.state}"
            return TrialDifference(match, None, not_compared=reason)
    settings = [study.configs.get(row.id, {}).get("evaluation", {}) for study, row in sides]
    differing = [
        name
        for name in sorted({*settings[0], *settings[1]})
        if name != "every" and (settings[0].get(name) or None) != (settings[1].get(name) or None)
    ]
    if differing:
        reason = f"they were measured differently: evaluation.{', evaluation.'.join(differing)}"
        return TrialDifference(match, None, not_compared=reason)
    if not match.b.values.keys() & match.a.values.keys():
        return TrialDifference(match, None, not_compared="they share no seed")
    scores = final_scores(b, match.b), final_scores(a, match.a)
    found = metric_difference(match.b.values, match.a.values, scores)
    return TrialDifference(match, found, scores)


def _two_margins(a: StudyResults, b: StudyResults) -> str:
    margins = [declared_family(study).margin for study in (a, b)]
    told = " and ".join(
        f"{name} {size_of(margin or 0, is_share(a))}"
        for name, margin in zip("AB", margins, strict=True)
    )
    by = f"{size_of(MARGIN, True)} are used" if is_share(a) else "none is used"
    return (
        f"The studies declare different margins of equivalence, {told}: {by}; --margin names one."
    )


def _unmatched(a: StudyResults, b: StudyResults, matches: Sequence[Match]) -> list[str]:
    lines = []
    matched_ids = {match.a.id for match in matches}, {match.b.id for match in matches}
    for side, study, known in zip("AB", (a, b), matched_ids, strict=True):
        alone = [row.id for row in study.table.all_rows if row.id not in known]
        if alone:
            more = len(alone) - _MOST_NAMED
            shown = ", ".join(alone[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
            lines.append(f"Only in {side}: {shown}.")
    return lines


def _verdict(item: TrialDifference, comparison: StudyComparison) -> str:
    found = item.difference
    if found is None:
        return f"no difference: {item.reason}"
    seeds = len(found.by_seed)
    if not any(found.by_seed.values()):
        return f"equal on {counted(seeds, 'shared seed')}"
    shown = f"{found.value:+.3f} {_over(seeds, found.problems)}"
    if found.contrast is None or item.tested is None or item.adjusted is None:
        return f"{shown}: no interval and no claim ({item.reason})"
    ends = interval(*found.contrast.interval(), "+.3f")
    shown += f", 95 % CI {ends}, Holm's p {p_value(item.adjusted)}"
    if seeds < FEWEST_SEEDS:
        return f"{shown}: too few seeds for a claim"
    return f"{shown}: {_finding(item.tested, seeds, comparison)}"


def _finding(test: FamilyTest, seeds: int, comparison: StudyComparison) -> str:
    """Of B: better, worse, equivalent within the margin, or undecided."""
    found = test.verdict(seeds, lower_is_better=comparison.a.direction == "min")
    if found is Verdict.EQUIVALENT and comparison.margin is not None:
        return f"equivalent within {size_of(comparison.margin, is_share(comparison.a))}"
    return f"B is {found}" if found in (Verdict.BETTER, Verdict.WORSE) else str(found)


def _together(found: Pooled, comparison: StudyComparison) -> str:
    shown = (
        f"All {found.trials} matching search trials together, B minus A: {found.value:+.3f} "
        f"{_over(found.seeds, found.problems)}"
    )
    if found.contrast is None:
        return f"{shown}: no interval and no claim ({found.reason})."
    (test,) = family_tests([found.contrast], Family((("B", "A"),)), comparison.margin)
    ends = interval(*found.contrast.interval(), "+.3f")
    shown += f", 95 % CI {ends}, p {p_value(test.adjusted)}"
    return f"{shown}: {_finding(test, found.seeds, comparison)}."


def _over(seeds: int, problems: int) -> str:
    shared = f"on {counted(seeds, 'shared seed')}"
    return f"{shared} and {counted(problems, 'problem')}" if problems else shared


def _row(item: TrialDifference) -> tuple[str, ...]:
    match, found = item.match, item.difference
    contrast = found.contrast if found else None
    problems = found.problems if found else 0
    return (
        match.a.id,
        match.b.id,
        match.by,
        number(match.a.value, ".3f"),
        number(match.b.value, ".3f"),
        number(fmean(found.by_seed.values()) if found else None, "+.3f"),
        str(len(found.by_seed)) if found else ABSENT,
        number(found.value if found and problems else None, "+.3f"),
        interval(*contrast.interval(), "+.3f") if contrast else ABSENT,
        p_value(contrast.p_value if contrast else None),
        p_value(item.adjusted),
        str(problems or ABSENT),
        item.reason,
    )
