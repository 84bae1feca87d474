"""Changes that a study was resumed with, and the trials before and after them."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.load.study import StudyResults
from analysis.load.text import visible
from conspo_study.records import EventKind
from conspo_study.results.table import TrialRow

_ENDS = (EventKind.FINISHED, EventKind.COLLAPSED, EventKind.PRUNED, EventKind.FAILED)


def change_notes(study: StudyResults) -> list[str]:
    """A line per resume with changes: the changes, and the trials that had ended before."""
    notes = []
    ended: list[str] = []
    for logged in study.events:
        event = logged.event
        if event.kind in _ENDS and event.trial not in ended:
            ended.append(event.trial)
        changes = event.data.get("changes") if event.kind is EventKind.STUDY_STARTED else None
        if changes:
            shown = "; ".join(visible(str(change)) for change in changes)
            notes.append(
                f"Resumed with changes ({shown}); ended before: {', '.join(ended) or 'none'}."
            )
    return notes


def ran_alike(study: StudyResults, a: TrialRow, b: TrialRow) -> bool:
    """True when no accepted change lies between the two trials, nor within one of them."""
    sides = _sides(study)
    return len({side for row in (a, b) for side in sides.get(row.id, ())}) <= 1


def _sides(study: StudyResults) -> Mapping[str, set[int]]:
    """Per trial, the numbers of changed starts that its events come after."""
    sides: dict[str, set[int]] = {}
    number = 0
    for logged in study.events:
        event = logged.event
        if event.kind is EventKind.STUDY_STARTED and event.data.get("changes"):
            number += 1
        elif event.trial and event.kind is not EventKind.SUGGESTED:
            sides.setdefault(event.trial, set()).add(number)
    return sides
