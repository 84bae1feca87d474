"""The differences of two studies, A and B, in the trials that they share; always B minus A."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis.findings.collapses import collapse_notes
from analysis.findings.matching import Match, definition_differences, differing_data, matched
from analysis.findings.measured import Trial, benchmark_name, measured
from analysis.findings.naming import describe
from analysis.findings.undecided import undecided_notes
from analysis.load.study import StudyResults, StudyUnreadable
from analysis.load.text import metric_label, visible
from analysis.statistics.bootstrap import Estimate, difference
from analysis.statistics.holm import holm
from analysis.statistics.intervals import FEWEST_SEEDS, PairedDifference, paired_difference
from analysis.statistics.scores import Scores
from analysis.tables.numbers import ABSENT, interval, number, p_value
from analysis.tables.text_table import TextTable, without_empty_columns
from conspo_study.results.table import TrialRow
from conspo_study.text import counted

_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class TrialDifference:
    """The trial of B minus that of A, on the seeds and problems that both have."""

    match: Match
    estimate: Estimate | None
    """Of the study's metric, from the stored responses; None where these are missing, share
    nothing, or do not give the metric."""
    by_seed: PairedDifference | None
    """Of the study's metric, from the log; None where no seed is shared."""
    adjusted: float | None = None
    """Holm's p over all matches."""
    not_compared: str = ""
    """Why there is no difference, for people."""

    @property
    def reason(self) -> str:
        """Why there is no difference or no interval; empty where there are both."""
        responses = self.estimate.no_interval if self.estimate else "no shared stored responses"
        return self.not_compared or responses


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


class NotComparable(ValueError):
    """The numbers of two studies are about different things; the message says which."""


def compare(a: StudyResults, b: StudyResults) -> StudyComparison:
    """Match the trials of two studies and compare them.

    Raises NotComparable when the studies were measured on different problems or by different
    metrics.
    """
    _check_comparable(a, b)
    matches = matched(a, b)
    raw = [_difference(a, b, match) for match in matches]
    adjusted = holm([item.estimate.p_value if item.estimate else None for item in raw])
    differences = [replace(item, adjusted=p) for item, p in zip(raw, adjusted, strict=True)]
    return StudyComparison(
        a,
        b,
        tuple(definition_differences(a, b)),
        tuple(differences),
        tuple(_unmatched(a, b, matches)),
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
    if not comparison.differences:
        lines.append("No trial of A has a partner in B: nothing is compared.")
    for item in comparison.differences:
        names = f"{describe(b, item.match.b)} minus {describe(a, item.match.a)}"
        by_label = item.match.by == "label"
        kind = "the same label only" if by_label else "the same configuration"
        lines.append(f"{names}, {kind}: {_verdict(item)}.")
    for side, study in (("A", a), ("B", b)):
        notes = [*collapse_notes(study), *undecided_notes(study)]
        lines += [f"{side}: {note}" for note in notes]
    return [*lines, *comparison.unmatched]


def comparison_table(comparison: StudyComparison) -> TextTable:
    """One row per match; differences of the metric as logged, and over problems from responses."""
    metric = metric_label(comparison.a.metric)
    logged = ("A", "B", "matched by", f"{metric} A", f"{metric} B", "B - A", "seeds")
    judged = ("B - A by problem", "95 % CI", "p", "p (Holm)", "problems", "reason")
    rows = tuple(map(_row, comparison.differences))
    return without_empty_columns(TextTable((*logged, *judged), rows), ("reason",))


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
            return TrialDifference(match, None, None, not_compared=reason)
    settings = [study.configs.get(row.id, {}).get("evaluation", {}) for study, row in sides]
    differing = [
        name
        for name in sorted({*settings[0], *settings[1]})
        if name != "every" and (settings[0].get(name) or None) != (settings[1].get(name) or None)
    ]
    if differing:
        reason = f"they were measured differently: evaluation.{', evaluation.'.join(differing)}"
        return TrialDifference(match, None, None, not_compared=reason)
    by_seed = paired_difference(match.b.values, match.a.values)
    if by_seed is None:
        return TrialDifference(match, None, None, not_compared="they share no seed")
    scores = _scores(b, match.b), _scores(a, match.a)
    found = difference(scores[0], scores[1]) if scores[0] and scores[1] else None
    return TrialDifference(match, found, by_seed)


def _scores(study: StudyResults, row: TrialRow) -> Scores | None:
    """The study's metric by seed and problem."""
    problems, _, kind = study.metric.removeprefix("eval/").rpartition("/")
    name = benchmark_name(problems)
    try:
        found = measured([Trial(row.id, study, row)], "avg" if kind.startswith("avg@") else kind)
    except StudyUnreadable:
        raise
    except ValueError:
        return None  # the metric is none of those that responses give
    scores = found.scores.get(row.id)
    return scores.only(name) if scores and name in scores.benchmarks else None


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


def _verdict(item: TrialDifference) -> str:
    if item.by_seed is None:
        return f"no difference: {item.reason}"
    seeds = len(item.by_seed.by_seed)
    shared = counted(seeds, "shared seed")
    if not any(item.by_seed.by_seed.values()):
        return f"equal on {shared}"
    found = item.estimate
    if found is None:
        return f"{item.by_seed.mean:+.3f} on {shared}: no interval ({item.reason})"
    shown = f"{found.value:+.3f} on {shared} and {counted(found.problems, 'problem')}"
    if found.low is None or item.adjusted is None:
        return f"{shown}: no interval and no claim ({item.reason})"
    ends = interval(found.low, found.high, "+.3f")
    shown += f", 95 % CI {ends}, Holm's p {p_value(item.adjusted)}"
    if seeds < FEWEST_SEEDS:
        return f"{shown}: too few seeds for a claim"
    return f"{shown}: {'no difference is shown' if item.adjusted >= 0.05 else 'a difference'}"


def _row(item: TrialDifference) -> tuple[str, ...]:
    match, by_seed, found = item.match, item.by_seed, item.estimate
    return (
        match.a.id,
        match.b.id,
        match.by,
        number(match.a.value, ".3f"),
        number(match.b.value, ".3f"),
        number(by_seed.mean if by_seed else None, "+.3f"),
        str(len(by_seed.by_seed)) if by_seed else ABSENT,
        number(found.value if found else None, "+.3f"),
        interval(found.low, found.high, "+.3f") if found else ABSENT,
        p_value(found.p_value if found else None),
        p_value(item.adjusted),
        str(found.problems) if found else ABSENT,
        item.reason,
    )
