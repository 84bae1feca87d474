"""Samplers that learn from results: Optuna's, with a new Optuna study for every proposal.

Optuna's own state, random or stored, would make a proposal depend on the history of the process.
"""

from __future__ import annotations

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, create_trial
from optuna.trial import TrialState as OptunaState

from conspo_study.definition import StudyDefinition
from conspo_study.definition.space import Choice, Range, Value, active, contains, ordered
from conspo_study.records import TrialState
from conspo_study.search.samplers import Ended, Params, Past
from conspo_study.search.samplers.sequences import Random
from conspo_study.seeds import derive_seed

MODEL_FROM = 1
"""Ended trials that Optuna's samplers need before they model. How many are drawn at random is
counted here, in searched trials."""


class OptunaProposer(ABC):
    """Tells a new Optuna study the results, and asks it for a proposal."""

    attempts: int
    """Number of proposals that may be repeats before the search continues at random."""

    def __init__(self, definition: StudyDefinition):
        self._definition = definition
        self._random = Random(definition)
        self._dimensions = ordered(definition.space)
        self._distributions = {path: _distribution(d) for path, d in self._dimensions}
        self._directions = [
            StudyDirection.MAXIMIZE if direction == "max" else StudyDirection.MINIMIZE
            for direction in (definition.direction, *(aim.direction for aim in definition.also))
        ]

    def candidates(self, past: Past) -> Iterator[Params]:
        """Proposals of the model, then random ones.

        In a small space a model may repeat one proposal again and again. Each time it is told the
        known result once more, and after `attempts` repeats it is no longer asked.
        """
        searched = past.number - len(self._definition.anchors)
        if searched >= self._definition.sampler.startup_trials:
            yield from self._modelled(past)
        yield from self._random.candidates(past)

    def _modelled(self, past: Past) -> Iterator[Params]:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(directions=self._directions)
        # Optuna cannot be told of baselines outside of the space.
        space = self._definition.space
        told = [(t.params, self._told(t)) for t in past.ended if contains(space, t.params)]
        study.add_trials([trial for _, trial in told])
        running = [params for params in past.running if contains(space, params)]
        study.add_trials([self._trial(params, OptunaState.RUNNING) for params in running])
        known = {_key(params): trial for params, trial in told}
        for attempt in range(self.attempts):
            seed = derive_seed(self._definition.root_seed, "sampler", past.number, attempt)
            asked, params = self._ask(study, seed % 2**32)
            yield params
            study.tell(asked, state=OptunaState.FAIL)
            if (again := known.get(_key(params))) is not None:
                study.add_trial(again)

    def _ask(self, study: Study, seed: int) -> tuple[Trial, Params]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.sampler = self._sampler(seed)
            asked = study.ask()
            params: dict[str, Any] = {}
            for path, dimension in self._dimensions:
                if active(dimension, params):
                    params[path] = _suggested(asked, path, dimension)
        return asked, params

    @abstractmethod
    def _sampler(self, seed: int) -> BaseSampler: ...

    @abstractmethod
    def _told(self, trial: Ended) -> FrozenTrial: ...

    def _trial(
        self,
        params: Params,
        state: OptunaState,
        values: tuple[float, ...] | None = None,
        intermediate: dict[int, float] | None = None,
    ) -> FrozenTrial:
        dimensions = self._definition.space
        return create_trial(
            params={path: _told_as(dimensions[path], value) for path, value in params.items()},
            distributions={path: self._distributions[path] for path in params},
            state=state,
            values=values,
            intermediate_values=intermediate,
        )


class TPE(OptunaProposer):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), in several dimensions at once."""

    attempts = 10

    def _sampler(self, seed: int) -> BaseSampler:
        # Dimensions that exist together are modelled together. With several objectives Optuna
        # recommends one dimension at a time, which conditions do not disturb.
        conditional = any(dimension.when for _, dimension in self._dimensions)
        return TPESampler(
            seed=seed,
            n_startup_trials=MODEL_FROM,
            constant_liar=True,  # trials that are still running repel the next
            group=conditional and len(self._directions) == 1,
        )

    def _told(self, trial: Ended) -> FrozenTrial:
        if not trial.values:
            return self._trial(trial.params, OptunaState.FAIL)
        if trial.state.has_result:
            return self._trial(trial.params, OptunaState.COMPLETE, trial.values)
        # Stopped trials rank behind all complete ones, those stopped later before those stopped
        # earlier. That ranking knows one direction only, and raises an error for several
        # objectives: without an intermediate value they stay unranked behind the complete ones.
        # Their values of an early step are not comparable with those of the last: a policy that
        # was stopped early still answers briefly, and would seem to be a good compromise.
        intermediate = {trial.step: trial.values[0]} if len(self._directions) == 1 else None
        return self._trial(trial.params, OptunaState.PRUNED, intermediate=intermediate)


class GaussianProcess(OptunaProposer):
    """A Gaussian process with expected improvement, for spaces without conditions."""

    attempts = 2  # each takes seconds

    def _sampler(self, seed: int) -> BaseSampler:
        return GPSampler(seed=seed, n_startup_trials=MODEL_FROM)

    def _told(self, trial: Ended) -> FrozenTrial:
        stopped = trial.state is TrialState.PRUNED
        if not trial.values or (stopped and len(self._directions) > 1):
            return self._trial(trial.params, OptunaState.FAIL)
        # The sampler ignores stopped trials, and would go on proposing settings next to them. The
        # value of a trial when it was stopped is the best guess of its final value; with several
        # objectives there is no such guess (see TPE).
        return self._trial(trial.params, OptunaState.COMPLETE, trial.values)


def _distribution(dimension: Choice | Range) -> BaseDistribution:
    if isinstance(dimension, Choice):
        # By their indices: Optuna knows no lists, and takes True for 1.
        return CategoricalDistribution(range(len(dimension.values)))
    if dimension.integer:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _suggested(asked: Trial, path: str, dimension: Choice | Range) -> Value:
    if isinstance(dimension, Choice):
        return dimension.values[asked.suggest_categorical(path, range(len(dimension.values)))]
    low, high, log = dimension.low, dimension.high, dimension.log
    if dimension.integer:
        return asked.suggest_int(path, int(low), int(high), log=log)
    return asked.suggest_float(path, low, high, log=log)


def _told_as(dimension: Choice | Range, value: Value) -> Any:
    """Value as Optuna represents it."""
    if isinstance(dimension, Choice):
        return dimension.index(value)
    return int(value) if dimension.integer else value  # type: ignore[arg-type]


def _key(params: Params) -> str:
    return json.dumps(dict(params), sort_keys=True)
