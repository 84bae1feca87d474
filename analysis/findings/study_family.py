"""The family of comparisons that a study declares, or that its baselines make."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from analysis.load.study import StudyResults
from conspo_study.statistics.family import Family, study_family


def declared_family(study: StudyResults) -> Family:
    """The comparisons of the study's baselines, by label: those it declares, else every pair.

    The baselines are those of the definition, so that a report made while they run corrects for all
    of them, and whatever else the log has a label for. Of damaged or foreign declarations nothing
    is used.
    """
    labels = list(dict.fromkeys([*_defined(study.definition), *_logged(study)]))
    declared = study.definition.get("compare")
    if not isinstance(declared, dict) or not _sound(declared):
        return study_family(labels, None)
    try:
        return study_family(labels, declared)
    except (KeyError, TypeError, ValueError):
        return study_family(labels, None)


def _defined(definition: Mapping[str, Any]) -> Iterator[str]:
    anchors = definition.get("anchors")
    for anchor in anchors if isinstance(anchors, list) else ():
        label = anchor.get("label") if isinstance(anchor, dict) else None
        if isinstance(label, str) and label:
            yield label


def _logged(study: StudyResults) -> Iterator[str]:
    return (row.label for row in study.table.rows if row.label)


def _sound(declared: Mapping[str, Any]) -> bool:
    """Whether the fields have values that a definition could have."""
    against, margin = declared.get("against"), declared.get("equivalence")
    names = [declared.get("reference"), *(against if isinstance(against, list) else ())]
    return (
        all(isinstance(name, str) for name in names)
        and (against is None or isinstance(against, list))
        and (margin is None or _positive(margin))
    )


def _positive(margin: object) -> bool:
    number = isinstance(margin, int | float) and not isinstance(margin, bool)
    return number and 0 < float(str(margin)) < math.inf
