"""The verdict of a study: what it shows, in one sentence that claims no more than its tests.

Reports begin with it and a study's output ends with it. Confirmed values come before searched ones,
and what was selected by its own value claims nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from analysis.findings.confirmation import Confirmation, confirmation_of
from analysis.findings.detectable import family_of_study
from analysis.findings.metric_difference import Judged, size_of
from analysis.findings.naming import describe
from analysis.findings.regime_differences import families_of
from analysis.findings.regimes import is_mapped, regime_map
from analysis.findings.study_family import declared_family
from analysis.load.study import StudyResults
from analysis.load.text import metric_label, visible
from analysis.statistics.family_tests import Verdict
from analysis.statistics.intervals import FEWEST_SEEDS
from analysis.tables.numbers import interval
from conspo_study.results.table import TrialRow
from conspo_study.statistics.power import POWER
from conspo_study.text import counted

_MOST_NAMED = 4
"""Settings that one kind of finding names."""


def verdict_sentence(study: StudyResults) -> str:
    """What the study shows, or has shown so far. Raises StudyUnreadable naming a damaged file."""
    if study.problem:
        return "No verdict: without the study's definition nobody knows what it selects by."
    if not study.table.with_result:
        return "No verdict: no trial has finished."
    return f"{'' if study.table.finished else 'So far: '}{_sentence(study)}"


def _sentence(study: StudyResults) -> str:
    confirmation = confirmation_of(study)
    if is_mapped(study):
        return _of_the_map(study)
    if confirmation is not None and confirmation.winner and confirmation.winner.values:
        return _of_the_winner(confirmation)
    family = declared_family(study)
    compared = family_of_study(study, family)
    if any(one.difference and len(one.difference.by_seed) >= FEWEST_SEEDS for one in compared):
        of = f" with {visible(family.reference, 60)}" if family.reference else ""
        names = [pair[0] if family.reference else " minus ".join(pair) for pair in family.pairs]
        shown = _counted(zip(names, compared, strict=True))
        return f"{counted(len(compared), 'comparison')}{of}: {shown}."
    return _of_the_best(study, study.best)


def _of_the_winner(confirmation: Confirmation) -> str:
    """The winner's confirmed value, and its difference to each baseline."""
    study, winner = confirmation.study, confirmation.winner
    assert winner is not None and winner.mean is not None
    ends = winner.interval
    shown = f" {interval(ends.low, ends.high, '.3f')}" if ends else ""
    planned = len(winner.run.seeds) if winner.run else 0
    lacking = "" if winner.complete else f" of {planned}"
    head = (
        f"{describe(study, winner.search)} has {metric_label(study.metric)} {winner.mean:.3f}"
        f"{shown} on {len(winner.values)}{lacking} fresh seeds"
    )
    parts = [
        f"{_amount(confirmation.compared[one.search.id])} {describe(study, one.search)}"
        if confirmation.compared[one.search.id].difference is not None
        else f"not compared with {describe(study, one.search)}, which has no values yet"
        for one in confirmation.anchors
    ]
    return f"{'; '.join([head, *parts])}."


def _amount(one: Judged) -> str:
    """Such as `+0.052 [+0.010, +0.094], better than`."""
    found = one.difference
    assert found is not None
    value = f"{found.value:+.3f}"
    if one.tested.contrast is not None:
        value += f" {interval(*one.tested.contrast.interval(), '+.3f')}"
    if one.verdict is Verdict.EQUIVALENT:
        return f"{value}, {one.finding} of"
    if one.verdict is not Verdict.UNDECIDED:
        return f"{value}, {one.finding} than"
    plausible = one.detectable_range
    if plausible is None or (one.share and plausible[1] >= 1):
        return f"{value}, not shown to differ from"
    size = size_of(round(plausible[1], 3) if one.share else plausible[1], one.share)
    return f"{value}, not shown to differ ({size} would be, with probability {POWER:.0%}) from"


def _counted(found: Iterable[tuple[str, Judged]]) -> str:
    """Such as `2 better (A, B), 1 worse (C), 6 undecided`."""
    by_kind: dict[str, list[str]] = {}
    for name, one in found:
        kind = one.finding if one.difference else "not measured"
        by_kind.setdefault(kind, []).append(name)
    undecided = (str(Verdict.UNDECIDED), "not measured")
    decided = {kind: names for kind, names in by_kind.items() if kind not in undecided}
    told = [f"{len(names)} {kind} ({_named(names)})" for kind, names in decided.items()]
    told += [f"{len(by_kind[kind])} {kind}" for kind in undecided if kind in by_kind]
    return ", ".join(told)


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(visible(name, 40) for name in names[:_MOST_NAMED])
    return shown + (", ..." if len(names) > _MOST_NAMED else "")


def _of_the_map(study: StudyResults) -> str:
    """How many cells differ from each reference."""
    try:
        families = families_of(regime_map([study]))
    except ValueError as error:
        return f"No verdict: {visible(str(error), 300)}."
    parts = []
    for family in families:
        counts = Counter(one.verdict for one in family.differences)
        told = ", ".join(f"{counts[kind]} {kind}" for kind in dict.fromkeys(counts))
        parts.append(f"{counted(family.size, 'cell')} minus {visible(family.reference)}: {told}")
    return f"{'; '.join(parts)}."


def _of_the_best(study: StudyResults, best: TrialRow | None) -> str:
    """A best trial that nothing confirms."""
    if best is None or best.value is None:
        return "No verdict: no trial has the values of all its seeds."
    seeds, trials = counted(len(best.values), "seed"), counted(study.table.with_result, "trial")
    few = "" if len(best.values) >= FEWEST_SEEDS else " and too few seeds for one"
    declared = study.definition.get("confirm") is not None
    again = "Its confirmation has not ended" if declared else "confirm= runs it on fresh seeds"
    return (
        f"{describe(study, best)} has the best {metric_label(study.metric)}, {best.value:.3f} on "
        f"{seeds}, of {trials}: selected by this value, which is no evidence that it is better"
        f"{few}. {again}."
    )
