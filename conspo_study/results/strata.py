"""Strata of a study: trials that differ in nothing but the settings that the best is chosen over.

A study that compares objectives, each at its own best learning rate, chooses over
`update.learning_rate`: the trials of one objective are a stratum, and it has a winner of its own.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from conspo_study.results.table import StudyTable, TrialRow


@dataclass(frozen=True, slots=True)
class Stratum:
    """Search trials that differ only in what the best is chosen over."""

    key: str
    """Of `stratum_key`; the same for all of its trials, and in every study."""
    rows: tuple[TrialRow, ...]
    """At least one, in the order of the search."""

    @property
    def ended(self) -> bool:
        """True if no trial of it is still to end; a search may still add one."""
        return all(row.state.ended for row in self.rows)

    def winner(self, direction: Literal["max", "min"] = "max") -> TrialRow | None:
        """Its best trial by the rule of `StudyTable.best`; None if none has finished."""
        return StudyTable(rows=self.rows).best(direction)


def stratum_key(params: Mapping[str, Any], best_over: Collection[str]) -> str:
    """The settings of a trial without those that the best is chosen over, as text."""
    kept = {path: _plain(value) for path, value in params.items() if path not in best_over}
    return json.dumps(kept, sort_keys=True)


def strata_of(rows: Iterable[TrialRow], best_over: Collection[str]) -> tuple[Stratum, ...]:
    """The strata of search trials, in the order of their first trials."""
    found: dict[str, list[TrialRow]] = {}
    for row in rows:
        found.setdefault(stratum_key(row.params, best_over), []).append(row)
    return tuple(Stratum(key, tuple(members)) for key, members in found.items())


def chosen_over(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings that a stored definition chooses the best over; empty without strata."""
    confirm = definition.get("confirm")
    paths = confirm.get("best_over") if isinstance(confirm, dict) else None
    if not isinstance(paths, Sequence) or isinstance(paths, str):
        return ()
    return tuple(path for path in paths if isinstance(path, str))


def _plain(value: Any) -> Any:
    """1 and 1.0 are the same setting."""
    whole = isinstance(value, float) and value.is_integer()
    return int(value) if whole else value
