"""Differences that the seeds of a study could have detected.

Every difference is judged by its own standard error, and the headline is the difference that is
found with probability 80 % or more even if the seeds happened to vary little (the upper 80 % limit
of the standard error): of the estimate itself, one study in five would promise a power that is
below a half.
"""

from __future__ import annotations

from collections import Counter

from analysis.findings.confirmation import confirmation_of
from analysis.findings.final_scores import final_scores
from analysis.findings.metric_difference import (
    Judged,
    is_share,
    judged,
    metric_difference,
    size_of,
)
from analysis.findings.naming import describe
from analysis.findings.study_family import declared_family
from analysis.findings.summary import reference_of
from analysis.load.study import StudyResults
from analysis.load.text import visible
from analysis.statistics.family_tests import Verdict
from conspo_study.results.strata import chosen_over
from conspo_study.results.table import TrialRow
from conspo_study.statistics.family import Family
from conspo_study.text import counted


def detectable_lines(study: StudyResults) -> list[str]:
    """A sentence per main difference, or one for a declared family: the verdict, and the smallest
    detectable difference; empty before there is anything to compare."""
    lines = [*_confirmed(study), *_declared(study)]
    # The best of all strata is none of the differences that such a study is about.
    return lines or ([] if chosen_over(study.definition) else _searched(study))


def _confirmed(study: StudyResults) -> list[str]:
    confirmation = confirmation_of(study)
    if confirmation is None or confirmation.winner is None or not confirmation.winner.values:
        return []
    return [
        _sentence(
            f"the winner and {describe(study, anchor.search)}",
            confirmation.compared[anchor.search.id],
            "fresh seed",
        )
        for anchor in confirmation.anchors
        if confirmation.compared[anchor.search.id].difference is not None
    ]


def _declared(study: StudyResults) -> list[str]:
    """The declared comparisons, whose trials nothing has selected."""
    family = declared_family(study)
    if not family.declared:
        return []
    found = family_of_study(study, family)
    if not any(one.difference for one in found):
        return []
    measured = [one for one in found if one.difference]
    verdicts = Counter(str(one.verdict) for one in measured)
    told = [f"{verdicts[name]} {name}" for name in Verdict if verdicts[name]]
    told += [f"{len(found) - len(measured)} not measured"] if len(measured) < len(found) else []
    shown = ", ".join(told)
    margin = next((one.margin for one in found if one.margin), None)
    within = (
        f" (equivalent: within {size_of(margin, found[0].share)})"
        if margin and verdicts[Verdict.EQUIVALENT]
        else ""
    )
    to = visible(family.reference or "", 60)
    lines = [
        f"{counted(len(found), 'comparison')} with {to} "
        f"({family.correction.author}): {shown}{within}."
    ]
    decided = [
        f"{visible(setting, 60)} {one.finding}"
        for (setting, _), one in zip(family.pairs, found, strict=True)
        if one.verdict is not Verdict.UNDECIDED
    ]
    lines += [f"Shown: {', '.join(decided)}."] if decided else []
    undecided = [one for one in found if one.verdict is Verdict.UNDECIDED and one.difference]
    worst = max(undecided, key=lambda one: (one.detectable_range or (0, 0))[1], default=None)
    if worst is not None and worst.could_detect:
        lines.append(f"Of those undecided, {worst.could_detect} at the least precise.")
    return lines


def family_of_study(study: StudyResults, family: Family) -> list[Judged]:
    """The comparisons of labelled search trials, in the order of the family's pairs."""
    rows: dict[str, TrialRow] = {}
    for row in study.table.rows:
        if row.label and row.state.has_result:
            rows.setdefault(row.label, row)
    named = {label for pair in family.pairs for label in pair if label in rows}
    scores = {label: final_scores(study, rows[label]) for label in sorted(named)}
    differences = [
        metric_difference(
            rows[setting].values, rows[reference].values, (scores[setting], scores[reference])
        )
        if setting in rows and reference in rows
        else None
        for setting, reference in family.pairs
    ]
    lower = study.direction == "min"
    return judged(differences, family, share=is_share(study), lower_is_better=lower)


def _searched(study: StudyResults) -> list[str]:
    """The best trial of a study without a confirmation: selected by the values that are compared,
    so nothing is claimed."""
    best = study.best
    reference = reference_of(study, best) if best else None
    if best is None or reference is None or reference.id == best.id:
        return []
    found = metric_difference(best.values, reference.values)
    if found is None:
        return []
    (one,) = judged([found], Family(((best.id, reference.id),)), share=is_share(study))
    pair = f"{describe(study, best)} and {describe(study, reference)}"
    return [
        f"No claim about {pair}: the best trial was selected by these values. Of two settings that "
        f"nothing selects, {_budget(one, 'search seed')}"
    ]


def _sentence(name: str, one: Judged, kind: str) -> str:
    verdict = {
        Verdict.BETTER: "A difference was detected",
        Verdict.WORSE: "A difference was detected",
        Verdict.EQUIVALENT: f"Shown to be {one.finding}",
        Verdict.UNDECIDED: "Undecided",
    }[one.verdict]
    between = "" if one.verdict is Verdict.EQUIVALENT else " between"
    return f"{verdict}{between or ':'} {name}: {_budget(one, kind)}"


def _budget(one: Judged, kind: str) -> str:
    found = one.difference
    assert found is not None
    seeds = len(found.by_seed)
    if seeds < 2:
        return "one seed cannot show a difference of any size."
    if one.tested.contrast is None:
        return f"what {counted(seeds, kind)} could have detected cannot be told: {found.reason}."
    if not one.could_detect:
        return f"{counted(seeds, kind)} are too few to know what they could have detected."
    return f"with {counted(seeds, kind)}, {one.could_detect}."
