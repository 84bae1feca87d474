"""The smallest difference that a study's seeds could have detected.

The noise is measured on all finished trials, not on the difference that is judged.
"""

from __future__ import annotations

from collections.abc import Sequence

from analysis.findings.confirmation import Confirmation, confirmation_of
from analysis.findings.naming import describe
from analysis.findings.summary import reference_of
from analysis.load.study import StudyResults
from analysis.statistics.intervals import PairedDifference, paired_difference
from conspo_study.results.spread import measured_spread
from conspo_study.statistics.paired_spread import PairedSpread
from conspo_study.statistics.power import POWER, detectable_effect
from conspo_study.text import counted


def detectable_lines(study: StudyResults) -> list[str]:
    """A sentence per main difference: whether it was detected, and the smallest detectable one;
    empty before there is anything to compare."""
    confirmation = confirmation_of(study)
    lines = _confirmed(confirmation) if confirmation else []
    return lines or _searched(study)


def _confirmed(confirmation: Confirmation) -> list[str]:
    winner = confirmation.winner
    if winner is None or not winner.values:
        return []
    measured = measured_spread(confirmation.study.table.confirmations)
    lines = []
    for anchor in confirmation.anchors:
        difference = confirmation.advantage(anchor)
        if difference is not None:
            name = f"the winner and {describe(confirmation.study, anchor.search)}"
            share = not confirmation.study.function
            lines.append(_verdict(name, difference, measured, "fresh seed", share))
    return lines


def _searched(study: StudyResults) -> list[str]:
    best = study.best
    reference = reference_of(study, best) if best else None
    if best is None or reference is None or reference.id == best.id:
        return []
    difference = paired_difference(best.values, reference.values)
    if difference is None:
        return []
    name = f"{describe(study, best)} and {describe(study, reference)}"
    measured = measured_spread(study.table.rows)
    return [_verdict(name, difference, measured, "search seed", not study.function)]


def _verdict(
    name: str,
    difference: PairedDifference,
    measured: PairedSpread | None,
    kind: str,
    share: bool,
) -> str:
    """share: whether the metric is one, between 0 and 1."""
    seeds = len(difference.by_seed)
    budget = _budget(seeds, measured, list(difference.by_seed.values()), kind, share)
    interval = difference.interval
    if interval is None:
        return f"Between {name}: {budget}"
    if interval.low <= 0 <= interval.high:
        return f"No difference detected between {name}: {budget}"
    return f"A difference was detected between {name}: {budget}"


def _budget(
    seeds: int,
    measured: PairedSpread | None,
    differences: Sequence[float],
    kind: str,
    share: bool,
) -> str:
    smallest = detectable_effect(1.0, seeds)
    if smallest is None:
        return "one seed cannot show a difference of any size."
    if measured is None:
        constant = max(differences) - min(differences) < 1e-12
        why = "the values do not vary between seeds" if constant else "too few finished trials"
        return (
            f"{counted(seeds, kind)} can show a difference of {smallest:.2g} standard deviations, "
            f"but the standard deviation is unknown: {why}."
        )
    size = smallest * measured.sd
    shown = f"{size:.3f} ({100 * size:.1f} points)" if size < 1 and share else f"{size:.3g}"
    beyond = ", which is more than the metric can vary" if size >= 1 and share else ""
    return (
        f"{counted(seeds, kind)} could have detected a difference of {shown}{beyond} with "
        f"probability {100 * POWER:.0f} % (standard deviation of a paired difference "
        f"{measured.sd:.3f}, {measured.source})."
    )
