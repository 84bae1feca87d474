"""The family of comparisons that a study declares, or that its baselines make."""

from __future__ import annotations

from analysis.load.study import StudyResults
from conspo_study.statistics.family import Family, study_family


def declared_family(study: StudyResults) -> Family:
    """The comparisons of the study's baselines, by label: those it declares, else every pair.

    Of damaged or foreign declarations nothing is used.
    """
    labels = list(dict.fromkeys(row.label for row in study.table.rows if row.label))
    declared = study.definition.get("compare")
    if not isinstance(declared, dict):
        return study_family(labels, None)
    try:
        return study_family(labels, declared)
    except (KeyError, TypeError, ValueError):
        return study_family(labels, None)
