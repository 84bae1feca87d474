"""The batches of trials that a study runs: its search and its confirmation."""

from __future__ import annotations

from dataclasses import dataclass

from conspo_study.config import AnyRun, RunConfig, with_overrides
from conspo_study.definition.study import StudyDefinition
from conspo_study.results.strata import stratum_key


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
    none of them; with strata, the winner of each and the named baselines."""
    confirm = study.confirm
    if confirm is None:
        return None
    run = with_overrides(study.base, confirm.overrides)
    if confirm.best_over:
        keys = {stratum_key(anchor.params, confirm.best_over) for anchor in study.anchors}
        # Every searched trial may be a stratum of its own.
        most = len(keys) + len(confirm.anchors or ()) + study.trials - len(study.anchors)
        return Batch(run, min(study.trials, most), len(confirm.seeds))
    labels = confirm.anchors
    anchors = len(study.anchors) if labels is None else len(labels)
    return Batch(run, anchors + int(study.trials > anchors), len(confirm.seeds))
