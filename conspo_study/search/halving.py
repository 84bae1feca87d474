"""Successive halving: who goes on from a rung, and who stops there.

A bracket's trials all run to the first rung. Once the last of them is there, the best of them go
on from their checkpoints to the next rung, and so forth to the last step. Who does follows from the
values at the rung, which the log keeps, so it is the same whenever a study is continued. Failed
trials are no longer compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from conspo_study.definition import Halving
from conspo_study.records import TrialState
from conspo_study.results.event_data import with_text_seeds
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
    passed = max(row.pauses, default=0) if row is not None else 0
    return next((rung for rung in rule.rungs if rung > passed), None)


def going_on(bracket: Bracket, direction: Way) -> list[TrialRow]:
    """The paused trials that have been chosen to go on and have not yet, the best first."""
    stops = {row.id for row in stopped(bracket, direction)}
    ready = [
        row
        for row in bracket.rows
        if row.state is TrialState.PAUSED and row.id not in stops and _is_decided(bracket, row.step)
    ]
    return sorted(ready, key=lambda row: _rank(row, row.step, direction))


def stopped(bracket: Bracket, direction: Way) -> list[TrialRow]:
    """The paused trials that stop at their rung, and are to be logged so.

    A trial that comes late to a rung, such as one that failed and was tried again, goes on only if
    it is among the best of all that came.
    """
    found: list[TrialRow] = []
    for rung in bracket.rule.rungs:
        came = [row for row in bracket.rows if rung in row.pauses]
        if came and _is_decided(bracket, rung):
            ranked = sorted(came, key=lambda row: _rank(row, rung, direction))
            lost = ranked[bracket.rule.kept(len(came)) :]
            found += [row for row in lost if row.state is TrialState.PAUSED and row.step == rung]
    return found


def ending(row: TrialRow) -> dict[str, Any]:
    """What is logged of a trial that stops at its rung: what it had there."""
    return {
        "step": row.step,
        "value": row.value,
        "values": with_text_seeds(row.values),
        "also": {metric: with_text_seeds(values) for metric, values in row.also.items()},
        "wall_s": 0.0,
    }


def _is_decided(bracket: Bracket, rung: int) -> bool:
    """Whether every trial that can come to a rung has come, or ended before."""
    before = [step for step in bracket.rule.rungs if step < rung]
    entered = [row for row in bracket.rows if not before or before[-1] in row.pauses]
    return bracket.whole and all(row.state.ended or rung in row.pauses for row in entered)


def _rank(row: TrialRow, rung: int, direction: Way) -> tuple[float, str]:
    return (-1.0 if direction == "max" else 1.0) * row.pauses[rung], row.id
