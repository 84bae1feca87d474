"""Events folded into one row per trial."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from conspo_study.records import EventKind, TrialEvent, TrialRole, TrialState, read_bar
from conspo_study.results.event_data import seed_of, step_of
from conspo_study.results.lines import LoggedEvent
from conspo_study.results.trial_events import counted_incidents, row_after
from conspo_study.results.trial_row import TrialRow

__all__ = ["StudyTable", "TableBuilder", "TrialRow", "build_table"]


@dataclass(frozen=True)
class StudyTable:
    """All trials of a study, each kind in the order in which it was suggested."""

    rows: tuple[TrialRow, ...] = ()
    """The search trials. Whatever ranks or counts trials means these."""
    confirmations: tuple[TrialRow, ...] = ()
    """Runs of chosen settings on seeds and problems that did not choose them."""
    hash: str = ""
    """Hash of the study's definition, from its last start."""
    trials: int | None = None
    """Budget in search trials, from its last start; None in logs that do not say it."""
    changes: tuple[str, ...] = ()
    """What was accepted as different from the study's beginning, over all starts."""
    incidents: Mapping[str, int] = field(default_factory=dict)
    """How often each type of failure was absorbed that belongs to no single trial."""
    finished: bool = False
    """Whether the study came to its end."""

    @property
    def all_rows(self) -> tuple[TrialRow, ...]:
        """Search trials, then confirmations."""
        return self.rows + self.confirmations

    @property
    def counts(self) -> dict[TrialState, int]:
        """Search trials per state, all states present."""
        found = Counter(row.state for row in self.rows)
        return {state: found[state] for state in TrialState}

    @property
    def with_result(self) -> int:
        """Search trials that came to their last step, finished or collapsed."""
        return sum(row.state.has_result for row in self.rows)

    @property
    def all_incidents(self) -> dict[str, int]:
        """Absorbed failures of the study and of all its trials, by type."""
        total = Counter(self.incidents)
        for row in self.all_rows:
            total.update(row.incidents)
        return dict(total)

    def row(self, trial: str) -> TrialRow:
        """The row of a trial of any role. Raises KeyError for one that was never suggested."""
        return self._by_id[trial]

    @cached_property
    def _by_id(self) -> dict[str, TrialRow]:
        return {row.id: row for row in self.all_rows}

    def best(self, direction: Literal["max", "min"] = "max") -> TrialRow | None:
        """The trial with a result that has the best mean over all its seeds; ties go to the smaller
        id.

        Pruned and failed trials never win, nor does one that lacks the value of a seed.
        """
        sign = -1.0 if direction == "max" else 1.0
        ranked = [
            (sign * row.value, row.id, row)
            for row in self.rows
            if row.state.has_result and row.value is not None and not row.missing_seeds
        ]
        return min(ranked)[2] if ranked else None


class TableBuilder:
    """A table that grows with the log: an event costs the same however long the log is.

    One thread adds; any thread may read.
    """

    def __init__(self, events: Iterable[LoggedEvent] = ()):
        self._mutex = threading.Lock()
        self._rows: dict[str, TrialRow] = {}
        self._study = StudyTable()
        """All but the rows."""
        self._snapshot: StudyTable | None = None
        for logged in events:
            self.add(logged)

    @property
    def table(self) -> StudyTable:
        """All events added so far; the same object until another is added."""
        with self._mutex:
            if self._snapshot is None:
                rows = tuple(self._rows.values())
                self._snapshot = replace(
                    self._study,
                    rows=tuple(row for row in rows if row.role is TrialRole.SEARCH),
                    confirmations=tuple(row for row in rows if row.role is not TrialRole.SEARCH),
                )
            return self._snapshot

    def row(self, trial: str) -> TrialRow:
        """That of `table`, which need not be made for it. Raises KeyError as there."""
        with self._mutex:
            return self._rows[trial]

    def check(self, logged: LoggedEvent) -> None:
        """Raises ValueError naming the event when it contradicts those before it."""
        self._fold(logged)

    def add(self, logged: LoggedEvent) -> None:
        """Take in the next event. Raises ValueError as `check`; the table is then as before."""
        result = self._fold(logged)
        with self._mutex:
            if isinstance(result, StudyTable):
                self._study = result
            else:
                self._rows[result.id] = result
            self._snapshot = None

    def _fold(self, logged: LoggedEvent) -> StudyTable | TrialRow:
        """What the event makes of the study, or of the one row that it concerns."""
        event = logged.event
        try:
            if not event.trial:
                return _study_after(self._study, event)
            known = self._rows.get(event.trial)
            if event.kind is EventKind.SUGGESTED:
                return self._suggested(known, event)
            if known is None:
                raise ValueError(f"trial {event.trial} was never suggested")
            return row_after(known, event.kind, event.data)
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
            raise ValueError(
                f"event {logged.seq} ({event.kind.value}) of the log: {error}"
            ) from error

    def _suggested(self, known: TrialRow | None, event: TrialEvent) -> TrialRow:
        data = event.data
        row = TrialRow(
            id=event.trial,
            role=TrialRole(data.get("role", TrialRole.SEARCH)),
            of=str(data.get("of", "")),
            label=str(data.get("label", "")),
            params=dict(data.get("params", {})),
            config_hash=str(data.get("config_hash", "")),
            seeds=tuple(map(seed_of, data.get("seeds", ()))),
            bars={step_of(step): read_bar(bar) for step, bar in data.get("bars", {}).items()},
        )
        if known is not None:
            if _identity(known) != _identity(row):
                raise ValueError(
                    f"trial {row.id} was suggested before with other parameters, seeds or bars"
                )
            return known
        confirmed = self._rows.get(row.of)
        if row.role is TrialRole.CONFIRMATION and (
            confirmed is None or confirmed.role is not TrialRole.SEARCH
        ):
            raise ValueError(f"trial {row.id} confirms {row.of!r}, which is no search trial")
        return row


def build_table(events: Iterable[LoggedEvent]) -> StudyTable:
    """Fold the log. Raises ValueError naming the event that contradicts those before it."""
    return TableBuilder(events).table


def _study_after(study: StudyTable, event: TrialEvent) -> StudyTable:
    """The study after an event that belongs to no trial."""
    data = event.data
    if event.kind is EventKind.INCIDENT:
        return replace(study, incidents=counted_incidents(study.incidents, data))
    if event.kind is EventKind.STUDY_FINISHED:
        return replace(study, finished=True)
    return replace(
        study,
        hash=str(data.get("hash", "")),
        trials=int(data["trials"]) if "trials" in data else None,
        changes=(*study.changes, *map(str, data.get("changes", ()))),
        finished=False,
    )


def _identity(row: TrialRow) -> tuple[Any, ...]:
    return row.params, row.seeds, row.role, row.of, row.bars
