"""The configurations that a study may run, one change at a time."""

from __future__ import annotations

from typing import Any

from conspo_study.config import ConfigError, RunConfig, with_overrides
from conspo_study.definition.space import Choice
from conspo_study.definition.space.settings import existing
from conspo_study.definition.study import StudyDefinition


def variants(study: StudyDefinition) -> list[RunConfig]:
    """The base, every anchor, and the base with each value of a choice: among them is every model,
    problem set, objective and reward that a trial may have."""
    changes: list[dict[str, Any]] = [anchor.params for anchor in study.anchors]
    for path, dimension in study.space.items():
        if isinstance(dimension, Choice):
            changes += [
                existing(study.space, path, {path: value}) or {path: value}
                for value in dimension.values
            ]
    runs = [study.built_in]
    for change in changes:
        try:
            runs.append(with_overrides(study.built_in, change))
        except ConfigError:
            continue  # valid only together with other settings, which is the search's business
    return runs
