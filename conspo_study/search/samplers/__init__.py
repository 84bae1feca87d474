"""What proposes the settings of a trial: pure functions of the definition and the trial's past."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from conspo_study.definition import StudyDefinition
from conspo_study.records import TrialState

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial whose end a proposal may use."""

    params: Params
    state: TrialState
    step: int
    """Where it ended."""
    values: tuple[float, ...]
    """The study's metric and its further objectives, means over seeds; empty without a result."""


@dataclass(frozen=True, slots=True)
class Past:
    """All that a proposal may depend on, besides the definition."""

    number: int
    """Number of the trial that is proposed; trials count from 0, anchors first."""
    ended: tuple[Ended, ...]
    """Trials 0, 1, ..., number - 1 - lag, in this order; empty for a study that never waits."""
    running: tuple[Params, ...]
    """The settings of the trials after those. Some may have ended, but that is a matter of the
    machine's speed."""


class Proposer(Protocol):
    """A sampler of one study. Nothing that it keeps may let one proposal depend on another."""

    def candidates(self, past: Past) -> Iterator[Params]:
        """Proposals, the best first, until the space is used up or good luck in it improbable.

        The first one that has not been run is taken; asking for another says that the last has.
        """


def make_proposer(definition: StudyDefinition) -> Proposer:
    """The sampler that the study's definition names."""
    return _PROPOSERS[definition.sampler.name](definition)


# Optuna and scipy take a second to import: each only for those that use it.


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
