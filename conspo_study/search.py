"""Which trial comes next: an in-memory Optuna study rebuilt from, and written through, our log.

The results log is the only truth. Every suggestion is logged before it is handed out, every ending
before Optuna hears of it, so a search that is made anew from the log knows all that happened.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)
from optuna.trial import TrialState as OptunaState

from conspo_study.config import RunConfig, config_hash, with_overrides
from conspo_study.definition import StudyDefinition
from conspo_study.records import EventKind, TrialEvent, TrialState
from conspo_study.results.log import ResultsLog
from conspo_study.results.table import TrialRow, build_table
from conspo_study.seeds import derive_seed
from conspo_study.space import Choice, contains

MAX_REPEATS = 200
"""Suggestions of known configurations in a row after which the space counts as exhausted."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A trial to run."""

    trial: str
    config: RunConfig
    label: str
    """The anchor's name; empty for what the sampler chose."""


class Search:
    """Suggests trials of a study and records what becomes of them.

    Not thread-safe: Ray Tune calls its searcher from one thread.
    """

    def __init__(self, definition: StudyDefinition, log: ResultsLog):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        self.definition = definition
        self.log = log
        seed = derive_seed(definition.root_seed, "sampler") % 2**32
        self._sampler = optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=definition.startup_trials,
            constant_liar=True,  # trials that are still running repel new ones
        )
        self._random = optuna.samplers.RandomSampler(seed=seed)
        self._optuna = optuna.create_study(
            direction="maximize" if definition.direction == "max" else "minimize"
        )
        self._asked: dict[str, optuna.Trial] = {}
        self._hashes: dict[str, str] = {}
        """Configuration hash -> trial id, of every trial that did not fail."""
        self._unfinished: list[TrialRow] = []
        for row in build_table(log.events).rows:
            if row.state is not TrialState.FAILED:
                self._hashes[config_hash(self._config(row.params))] = row.id
            if row.state.ended:
                self._replay(row)
            else:
                self._unfinished.append(row)
        self._trials = len(build_table(log.events).rows)
        self._exhausted = False

    def suggest(self) -> Suggestion | None:
        """The next trial, logged; None when the budget or the space is used up.

        Trials that a previous process left unfinished come first, under their own ids.
        """
        if self._unfinished:
            row = self._unfinished.pop(0)
            return Suggestion(row.id, self._config(row.params), row.label)
        while self._trials < self.definition.trials:
            if self._trials < len(self.definition.anchors):
                anchor = self.definition.anchors[self._trials]
                return self._record(dict(anchor.params), anchor.label, None)
            asked = self._ask_for_something_new()
            if asked is None:
                break
            return self._record(dict(asked.params), "", asked)
        self._exhausted = True
        return None

    @property
    def complete(self) -> bool:
        """Whether every trial of the budget, or of an exhausted space, has ended."""
        return self._exhausted and all(row.state.ended for row in build_table(self.log.events).rows)

    def started(self, trial: str) -> None:
        """The trial has got its resources."""
        self.log.append(TrialEvent(EventKind.STARTED, trial))

    def reported(self, trial: str, data: Mapping[str, Any]) -> None:
        """Record a progress report: `step`, `steps` and the metrics of every seed."""
        self.log.append(TrialEvent(EventKind.REPORTED, trial, dict(data)))

    def ended(self, trial: str, kind: EventKind, data: Mapping[str, Any]) -> None:
        """Record the ending (FINISHED, PRUNED or FAILED) and let the sampler learn from it."""
        self.log.append(TrialEvent(kind, trial, dict(data)))
        row = build_table(self.log.events).row(trial)
        asked = self._asked.pop(trial, None)
        if row.state is TrialState.FAILED:
            self._hashes.pop(config_hash(self._config(row.params)), None)
        if asked is None:
            self._replay(row)
        elif row.state is TrialState.FINISHED and row.value is not None:
            self._optuna.tell(asked, row.value)
        elif row.state is TrialState.PRUNED and row.value is not None:
            asked.report(row.value, row.step)
            self._optuna.tell(asked, state=OptunaState.PRUNED)
        else:
            self._optuna.tell(asked, state=OptunaState.FAIL)

    def _record(self, params: dict[str, Any], label: str, asked: optuna.Trial | None) -> Suggestion:
        trial = f"t{self._trials:04d}"
        config = self._config(params)
        digest = config_hash(config)
        self.log.append(
            TrialEvent(
                EventKind.SUGGESTED,
                trial,
                {
                    "params": params,
                    "seeds": list(self.definition.seeds),
                    "label": label,
                    "config_hash": digest,
                },
            )
        )
        self._trials += 1
        self._hashes[digest] = trial
        if asked is not None:
            self._asked[trial] = asked
        return Suggestion(trial, config, label)

    def _config(self, params: Mapping[str, Any]) -> RunConfig:
        return with_overrides(self.definition.base, params)

    def _ask_for_something_new(self) -> optuna.Trial | None:
        """A suggestion whose configuration has not been tried: a repeat would give the same
        numbers. What the sampler repeats, it is told the known result of."""
        table = build_table(self.log.events)
        for attempt in range(MAX_REPEATS):
            # A sampler that has made up its mind repeats itself in a small space: what is left of
            # that is then found by chance.
            settled = attempt >= MAX_REPEATS // 2
            self._optuna.sampler = self._random if settled else self._sampler
            asked = self._optuna.ask()
            for path, dimension in self.definition.space.items():
                if dimension.when is not None and not dimension.when.holds(asked.params):
                    continue
                if isinstance(dimension, Choice):
                    asked.suggest_categorical(path, dimension.values)
                else:
                    asked.suggest_float(path, dimension.low, dimension.high, log=dimension.log)
            known = self._hashes.get(config_hash(self._config(asked.params)))
            if known is None:
                return asked
            value = table.row(known).value
            if value is None or not math.isfinite(value):
                self._optuna.tell(asked, state=OptunaState.FAIL)
            else:
                self._optuna.tell(asked, value)
        return None

    def _replay(self, row: TrialRow) -> None:
        """Tell the sampler of an ended trial that it did not suggest in this process."""
        if row.state is TrialState.FAILED or row.value is None:
            return
        if not contains(self.definition.space, row.params):
            return  # an anchor outside of the space
        pruned = row.state is TrialState.PRUNED
        self._optuna.add_trial(
            optuna.trial.create_trial(
                params=dict(row.params),
                distributions={path: self._distribution(path) for path in row.params},
                value=None if pruned else row.value,
                intermediate_values={row.step: row.value} if pruned else {},
                state=OptunaState.PRUNED if pruned else OptunaState.COMPLETE,
            )
        )

    def _distribution(self, path: str) -> BaseDistribution:
        dimension = self.definition.space[path]
        if isinstance(dimension, Choice):
            return CategoricalDistribution(dimension.values)
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def mean_value(
    seeds: Mapping[str, Mapping[str, Any]], metric: str
) -> tuple[float, dict[str, float]]:
    """The mean of `metric` over seeds, and its value by seed. Raises ValueError when a seed's is
    missing or not a finite number: a mean over some of the seeds is not comparable."""
    values = {}
    for seed, metrics in seeds.items():
        value = metrics.get(metric)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise ValueError(f"seed {seed} reported {metric} = {value!r}, not a finite number")
        values[seed] = float(value)
    return fmean(values.values()), values
