"""Two studies side by side: what differs in their definitions, and in the trials that they share.

conspo compare results/before results/after
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.findings.matching import Match, definition_differences, differing_data, matched
from analysis.findings.measured import Trial, benchmark_name, measured
from analysis.findings.naming import describe
from analysis.load.study import StudyResults, StudyUnreadable, load_studies
from analysis.load.text import metric_label, visible
from analysis.statistics.bootstrap import Estimate, difference
from analysis.statistics.holm import holm
from analysis.statistics.intervals import PairedDifference, paired_difference
from analysis.statistics.scores import Scores
from analysis.tables.text_table import ABSENT, TextTable, to_markdown, to_rich
from conspo_study.records import TrialState
from conspo_study.results.table import TrialRow

FEWEST_SEEDS = 3
"""With fewer an interval is shown and no claim is made."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The second trial of a match minus the first, on the seeds and problems that both have."""

    match: Match
    found: Estimate | None
    """Of the study's metric, from the stored responses; None where these are missing, share
    nothing, or do not give the metric."""
    by_seed: PairedDifference | None
    """Of the study's metric, from the log; None where no seed is shared."""
    adjusted: float | None = None
    """Holm's p over all matches."""
    reason: str = ""
    """Why there is no difference, for people."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that two studies say about each other."""

    first: StudyResults
    second: StudyResults
    definitions: tuple[str, ...]
    """What differs in their definitions, code and packages."""
    differences: tuple[Difference, ...]
    unmatched: tuple[str, ...]
    """Trials without a partner, in words."""


class NotComparable(ValueError):
    """The numbers of two studies are about different things; the message says which."""


def compare(first: StudyResults, second: StudyResults) -> Comparison:
    """Match and compare. Raises NotComparable when the studies were measured on different problems
    or by different metrics."""
    _check_comparable(first, second)
    matches = matched(first, second)
    raw = [_difference(first, second, match) for match in matches]
    adjusted = holm([one.found.p_value if one.found else None for one in raw])
    differences = [replace(one, adjusted=p) for one, p in zip(raw, adjusted, strict=True)]
    return Comparison(
        first,
        second,
        tuple(definition_differences(first, second)),
        tuple(differences),
        tuple(_unmatched(first, second, matches)),
    )


def comparison_lines(comparison: Comparison) -> list[str]:
    """The comparison in sentences that claim no more than it shows."""
    first, second = comparison.first, comparison.second
    sides = [visible(f"{study.name} in {study.folder}") for study in (second, first)]
    lines = [f"{sides[0]} (here) minus {sides[1]} (there)."]
    lines += [f"Differs: {line}." for line in comparison.definitions]
    if not comparison.definitions:
        lines.append("Definitions, sources and packages are the same.")
    if not comparison.differences:
        lines.append("No trial of one has a partner in the other: nothing is compared.")
    for one in comparison.differences:
        lines.append(f"{_name(comparison, one.match)}: {_verdict(one)}.")
    return [*lines, *comparison.unmatched]


def comparison_text(comparison: Comparison) -> TextTable:
    """One row per match; differences of the metric as logged, and over problems from responses."""
    metric = metric_label(comparison.first.metric)
    titles = ("there", "here", "matched by", f"{metric} there", "here ", "difference", "n seeds")
    more = (
        "on shared problems",
        "95 % interval",
        "p",
        "p (Holm)",
        "problems",
        "no interval because",
    )
    rows = [_row(one) for one in comparison.differences]
    return TextTable((*titles, *more), tuple(rows))


def _check_comparable(first: StudyResults, second: StudyResults) -> None:
    names = f"{first.folder} and {second.folder}"
    if differing := differing_data(first, second):
        raise NotComparable(
            f"{names} were measured on different problems in {', '.join(differing)}: the "
            "content of these sets differs, so a difference would be that of the problems"
        )
    for what in ("metric", "direction"):
        values = getattr(first, what), getattr(second, what)
        if values[0] != values[1]:
            raise NotComparable(
                f"{names} have the {what} {values[0]} and {values[1]}: what they selected by is "
                "not comparable; run one of them again by the other's, under another --name"
            )
    if not first.data or not second.data:
        raise NotComparable(
            f"{first.folder if not first.data else second.folder} does not say which problems it "
            "was measured on (study.json has no hashes of data), so nothing can be compared"
        )


def _difference(first: StudyResults, second: StudyResults, match: Match) -> Difference:
    for study, row in ((first, match.first), (second, match.second)):
        if row.state is not TrialState.FINISHED:
            return Difference(match, None, None, reason=f"{row.id} of {study.name} is {row.state}")
    settings = [
        study.configs.get(row.id, {}).get("evaluation", {})
        for study, row in ((first, match.first), (second, match.second))
    ]
    differing = [
        name
        for name in sorted({*settings[0], *settings[1]})
        if name != "every" and (settings[0].get(name) or None) != (settings[1].get(name) or None)
    ]
    if differing:
        reason = f"they were measured differently: evaluation.{', evaluation.'.join(differing)}"
        return Difference(match, None, None, reason=reason)
    by_seed = paired_difference(match.second.values, match.first.values)
    if by_seed is None:
        return Difference(match, None, None, reason="they share no seed")
    mine, theirs = _scores(second, match.second), _scores(first, match.first)
    found = difference(mine, theirs) if mine and theirs else None
    return Difference(match, found, by_seed)


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


def _unmatched(first: StudyResults, second: StudyResults, matches: Sequence[Match]) -> list[str]:
    taken = ({m.first.id for m in matches}, {m.second.id for m in matches})
    lines = []
    for study, known in zip((first, second), taken, strict=True):
        alone = [row.id for row in study.table.all_rows if row.id not in known]
        if alone:
            shown = ", ".join(alone[:20]) + (
                f" and {len(alone) - 20} more" if len(alone) > 20 else ""
            )
            lines.append(f"Only in {visible(study.name)} ({study.folder}): {shown}.")
    return lines


def _name(comparison: Comparison, match: Match) -> str:
    there = describe(comparison.first, match.first)
    here = describe(comparison.second, match.second)
    kind = "the same configuration" if match.by == "configuration" else "the same label only"
    return f"{here} minus {there}, {kind}"


def _verdict(one: Difference) -> str:
    if one.by_seed is None:
        return f"no difference, {one.reason}"
    seeds = len(one.by_seed.by_seed)
    shared = f"{seeds} shared seed{'s' if seeds != 1 else ''}"
    if not any(one.by_seed.by_seed.values()):
        return f"equal on {shared}"
    if one.found is None:
        return f"{one.by_seed.mean:+.3f} on {shared}: no stored responses to judge it by"
    said = f"{one.found.value:+.3f} on {shared} and {one.found.problems} problems"
    if one.found.low is None or one.found.high is None or one.adjusted is None:
        return f"{said}: no interval and no claim, {one.found.refused}"
    said += f", 95 % interval {_interval(one.found)}, Holm's p {one.adjusted:.3f}"
    if seeds < FEWEST_SEEDS:
        return f"{said}: too few seeds for a claim"
    if one.adjusted >= 0.05:
        return f"{said}: no difference is shown"
    return f"{said}: a difference"


def _interval(found: Estimate | None) -> str:
    if found is None or found.low is None or found.high is None:
        return ABSENT
    return f"[{found.low:+.3f}, {found.high:+.3f}]"


def _row(one: Difference) -> tuple[str, ...]:
    match, by_seed, found = one.match, one.by_seed, one.found
    return (
        match.first.id,
        match.second.id,
        match.by,
        _number(match.first.value, ".3f"),
        _number(match.second.value, ".3f"),
        _number(by_seed.mean if by_seed else None, "+.3f"),
        str(len(by_seed.by_seed)) if by_seed else ABSENT,
        _number(found.value if found else None, "+.3f"),
        _interval(found),
        _number(found.p_value if found else None, ".3f"),
        _number(one.adjusted, ".3f"),
        str(found.problems) if found else ABSENT,
        one.reason or (found.refused if found else "no stored responses in common"),
    )


def _number(value: float | None, spec: str) -> str:
    return ABSENT if value is None else f"{value:{spec}}"


def print_comparison(first: Path, second: Path, *, markdown: bool = False) -> None:
    """Print the differences between two results directories.

    Raises StudyUnreadable or ValueError for studies that cannot be read or compared.
    """
    comparison = compare(*load_studies([first, second]))
    table = comparison_text(comparison)
    if markdown:
        print(to_markdown(table))
    else:
        from rich.console import Console

        console = Console(highlight=False, markup=False)
        console.width = console.width if console.is_terminal else 1000
        console.print(to_rich(table, "differences", console.width))
    for line in comparison_lines(comparison):
        print(line)
