"""The differences that a study is about, as one list: the winner's to each baseline on fresh seeds,
or those that it declares to compare."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.findings.confirmation import confirmation_of
from analysis.findings.detectable import family_of_study
from analysis.findings.metric_difference import Judged
from analysis.findings.naming import describe
from analysis.findings.regimes import is_mapped
from analysis.findings.study_family import declared_family
from analysis.load.study import StudyResults
from analysis.load.text import visible


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference of two settings."""

    name: str
    """What it is minus, or the setting and what it is minus."""
    judged: Judged
    """With a difference and its interval."""
    trials: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Effects:
    """The differences that a study is about."""

    subject: str
    """What is subtracted from what, such as `each setting minus GRPO`."""
    confirmed: bool
    """Whether they are of fresh seeds."""
    found: tuple[Effect, ...]


def effects_of(study: StudyResults) -> Effects | None:
    """Those with an interval; None where there are none, or where a map has them.

    Raises StudyUnreadable naming a damaged file.
    """
    if is_mapped(study) or study.problem:
        return None
    effects = _confirmed(study) or _declared(study)
    return effects if effects.found else None


def _confirmed(study: StudyResults) -> Effects | None:
    confirmation = confirmation_of(study)
    winner = confirmation.winner if confirmation else None
    if confirmation is None or winner is None or not winner.values:
        return None
    found = tuple(
        Effect(describe(study, anchor.search), judged, (winner.run.id, anchor.run.id))
        for anchor in confirmation.anchors
        if (judged := confirmation.compared[anchor.search.id]).tested.contrast is not None
        and winner.run is not None
        and anchor.run is not None
    )
    return Effects(f"{describe(study, winner.search)} minus each baseline", True, found)


def _declared(study: StudyResults) -> Effects:
    family = declared_family(study)
    trials = {row.label: row.id for row in reversed(study.table.rows) if row.label}
    found = tuple(
        Effect(
            visible(setting if family.reference else f"{setting} minus {reference}"),
            judged,
            (trials[setting], trials[reference]),
        )
        for (setting, reference), judged in zip(
            family.pairs, family_of_study(study, family), strict=True
        )
        if judged.tested.contrast is not None
    )
    shared = f"each setting minus {visible(family.reference)}" if family.reference else ""
    return Effects(shared or "pair by pair", False, found)
