"""What is missing from a study's results, by name."""

from __future__ import annotations

from collections.abc import Iterable

from analysis.load.study import StudyResults
from conspo_study.records import TrialState
from conspo_study.results.table import TrialRow

_MOST = 20
"""Gaps that are named one by one."""


def gap_notes(study: StudyResults) -> list[str]:
    """Seeds and cells that trials lack although they finished, a line for each trial."""
    notes = [
        note
        for row in study.table.all_rows
        if row.state is TrialState.FINISHED
        for note in _gaps(study, row)
    ]
    more = len(notes) - _MOST
    return notes[:_MOST] + ([f"{more} more gaps of this kind."] if more > 0 else [])


def _gaps(study: StudyResults, row: TrialRow) -> Iterable[str]:
    if row.missing_seeds:
        seeds = ", ".join(map(str, row.missing_seeds))
        yield f"{row.id} has no value of seed {seeds}: it can neither win nor be ranked."
    metrics = {name for found in row.seed_metrics.values() for name in found}
    for metric in sorted(name for name in metrics if name.startswith("eval/")):
        lacking = [s for s in row.seeds if metric not in row.seed_metrics.get(s, {})]
        if lacking:
            yield f"{row.id} has no {metric} of seed {', '.join(map(str, lacking))}."
    sets = study.sets_of(row.id)
    absent = [name for name in sets if not any(m.startswith(f"eval/{name}/") for m in metrics)]
    if metrics and absent:
        yield f"{row.id} reported nothing about {', '.join(absent)} at its last step."
