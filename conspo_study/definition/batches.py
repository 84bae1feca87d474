"""The batches of trials that a study runs: its search and its confirmation."""

from __future__ import annotations

from dataclasses import dataclass

from conspo_study.config import AnyRun, RunConfig, with_overrides
from conspo_study.definition.study import StudyDefinition


@dataclass(frozen=True, slots=True)
class Batch:
    """Trials of equal cost."""

    run: AnyRun
    trials: int
    seeds: int

    @property
    def built_in(self) -> RunConfig:
        """The configuration of trials of the built-in training."""
        assert isinstance(self.run, RunConfig), "a training function has no such configuration"
        return self.run


def search_batch(study: StudyDefinition) -> Batch:
    """The trials of the search, as the base configuration has them."""
    return Batch(study.base, study.trials, len(study.seeds))


def confirmation_batch(study: StudyDefinition) -> Batch | None:
    """The trials of the confirmation, None without one: at most the baselines, and a winner that is
    none of them."""
    if study.confirm is None:
        return None
    labels = study.confirm.anchors
    anchors = len(study.anchors) if labels is None else len(labels)
    run = with_overrides(study.base, study.confirm.overrides)
    return Batch(run, anchors + int(study.trials > anchors), len(study.confirm.seeds))
