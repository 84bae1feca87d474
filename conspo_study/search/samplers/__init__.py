"""Samplers, which propose the settings of a trial: pure functions of the definition and the
results before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from conspo_study.definition import StudyDefinition
from conspo_study.records import TrialState

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """Ended trial that a proposal may use."""

    params: Params
    state: TrialState
    step: int
    """Last step."""
    values: tuple[float, ...]
    """The study's metric and its further objectives, means over seeds; empty without a result."""


@dataclass(frozen=True, slots=True)
class Past:
    """Everything that a proposal may depend on, besides the definition."""

    number: int
    """Number of the trial to propose; trials count from 0, baselines first."""
    ended: tuple[Ended, ...]
    """Trials 0, 1, ..., number - 1 - lag, in this order; empty for a study that never waits."""
    running: tuple[Params, ...]
    """Settings of the trials after those. Some may have ended already, which depends on the
    machine's speed and so is not used."""


class Proposer(Protocol):
    """A sampler of one study. No state of it may let one proposal depend on another."""

    def candidates(self, past: Past) -> Iterator[Params]:
        """Proposals, the best first, until the space is used up or another new point improbable.

        The first one that has not been run is taken; asking for another says that the last has.
        """


def make_proposer(definition: StudyDefinition) -> Proposer:
    """Sampler that the study's definition names."""
    return _PROPOSERS[definition.sampler.name](definition)


# Optuna and scipy take a second to import, so each sampler is imported when it is used.


def _tpe(definition: StudyDefinition) -> Proposer:
    from conspo_study.search.samplers.optuna_samplers import TPE

    return TPE(definition)


def _gp(definition: StudyDefinition) -> Proposer:
    from conspo_study.search.samplers.optuna_samplers import GaussianProcess

    return GaussianProcess(definition)


def _qmc(definition: StudyDefinition) -> Proposer:
    from conspo_study.search.samplers.sequences import QuasiRandom

    return QuasiRandom(definition)


def _random(definition: StudyDefinition) -> Proposer:
    from conspo_study.search.samplers.sequences import Random

    return Random(definition)


def _grid(definition: StudyDefinition) -> Proposer:
    from conspo_study.search.samplers.sequences import Grid

    return Grid(definition)


_PROPOSERS: dict[str, Callable[[StudyDefinition], Proposer]] = {
    "tpe": _tpe,
    "gp": _gp,
    "qmc": _qmc,
    "random": _random,
    "grid": _grid,
}
