"""Successive halving: who goes on from a rung, and who stops there.

A bracket's trials all run to the first rung. Once the last of them is there, the best of them go
on from their checkpoints to the next rung, and so forth to the last step. A decision is made once,
when nobody has gone on yet, and logged before anybody does, so it can be read from the log whenever
a study is continued. Failed trials are no longer compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from conspo_study.definition import Halving
from conspo_study.records import TrialState
from conspo_study.results.table import TrialRow

Way = Literal["max", "min"]
"""Whether more of the metric is better, or less."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """Trials that are compared with one another."""

    rule: Halving
    start: int
    """Searched trials before it."""
    rows: tuple[TrialRow, ...]
    """Those that have been suggested."""
    size: int
    """How many it will have."""

    @property
    def whole(self) -> bool:
        """Whether all of its trials have been suggested."""
        return len(self.rows) >= self.size


def brackets(rule: Halving, searched: Sequence[TrialRow], budget: int) -> list[Bracket]:
    """The brackets of a study in order, up to the first that lacks a trial.

    searched: the searched trials so far. budget: how many there will be.
    """
    size = rule.bracket
    found: list[Bracket] = []
    for start in range(0, budget, size):
        rows = tuple(searched[start : start + size])
        found.append(Bracket(rule, start, rows, min(size, budget - start)))
        if not found[-1].whole:
            break
    return found


def until(rule: Halving, row: TrialRow | None = None) -> int | None:
    """The rung that a trial runs to next; None for the last step. row: None for a new trial."""
    passed = len(row.pauses) if row is not None else 0
    return rule.rungs[passed] if passed < len(rule.rungs) else None


def going_on(bracket: Bracket, direction: Way) -> list[TrialRow]:
    """The paused trials that have been chosen to go on and have not yet, the best first. Losers
    have to be logged before (`stopped`)."""
    paused = [row for row in bracket.rows if row.state is TrialState.PAUSED]
    ready = [row for row in paused if _is_decided(bracket, len(row.pauses) - 1)]
    return sorted(ready, key=lambda row: _rank(row, direction))


def stopped(bracket: Bracket, direction: Way) -> list[TrialRow]:
    """The paused trials that stop at their rung, and are to be logged so."""
    found: list[TrialRow] = []
    for rung in range(len(bracket.rule.rungs)):
        came = [row for row in bracket.rows if len(row.pauses) > rung]
        if not came or not _is_decided(bracket, rung) or any(_has_gone_on(r, rung) for r in came):
            continue
        kept = bracket.rule.kept(len(came))
        ranked = sorted(came, key=lambda row: _rank(row, direction))
        found += [row for row in ranked[kept:] if row.state is TrialState.PAUSED]
    return found


def ending(row: TrialRow) -> dict[str, Any]:
    """What is logged of a trial that stops at its rung: what it had there."""
    return {
        "step": row.step,
        "value": row.value,
        "values": _by_seed(row.values),
        "also": {metric: _by_seed(values) for metric, values in row.also.items()},
        "wall_s": 0.0,
    }


def _by_seed(values: Mapping[int, float]) -> dict[str, float]:
    return {str(seed): value for seed, value in values.items()}


def _is_decided(bracket: Bracket, rung: int) -> bool:
    """Whether every trial that can come to a rung has come, or ended before."""
    return bracket.whole and all(
        row.state.ended or len(row.pauses) > rung for row in bracket.rows if len(row.pauses) >= rung
    )


def _has_gone_on(row: TrialRow, rung: int) -> bool:
    """Whether a trial that came to a rung has run beyond it."""
    beyond = len(row.pauses) > rung + 1
    return beyond or row.state not in (TrialState.PAUSED, TrialState.PRUNED)


def _rank(row: TrialRow, direction: Way) -> tuple[float, str]:
    value = row.value if row.value is not None else -math.inf
    return (-value if direction == "max" else value), row.id
