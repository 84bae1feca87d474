"""Values that finished trials of a study lack."""

from __future__ import annotations

from collections.abc import Iterable

from analysis.load.study import StudyResults
from conspo_study.records import is_decided_name
from conspo_study.results.table import TrialRow
from conspo_study.text import counted

_MOST = 20
"""Missing values beyond this number are counted, not named."""


def missing_value_notes(study: StudyResults) -> list[str]:
    """Missing seeds, metrics and problem sets of finished trials, a line each."""
    notes = [
        note for row in study.table.all_rows if row.state.has_result for note in _gaps(study, row)
    ]
    more = len(notes) - _MOST
    return notes[:_MOST] + ([f"{counted(more, 'more missing value')}."] if more > 0 else [])


def _gaps(study: StudyResults, row: TrialRow) -> Iterable[str]:
    if row.missing_seeds:
        seeds = ", ".join(map(str, row.missing_seeds))
        yield f"{row.id} has no value for seed {seeds}, so it is not ranked and cannot win."
    metrics = {name for found in row.seed_metrics.values() for name in found}
    evaluated = {name for name in metrics if name.startswith("eval/") and not is_decided_name(name)}
    for metric in sorted(evaluated):
        lacking = [s for s in row.seeds if metric not in row.seed_metrics.get(s, {})]
        if lacking:
            yield f"{row.id} has no {metric} for seed {', '.join(map(str, lacking))}."
    sets = study.sets_of(row.id)
    absent = [name for name in sets if not any(m.startswith(f"eval/{name}/") for m in metrics)]
    if metrics and absent:
        yield f"{row.id} has no results on {', '.join(absent)} at its last step."
