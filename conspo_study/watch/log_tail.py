"""Events and curves of a growing results log, kept in memory for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from conspo_study.records import EventKind
from conspo_study.results.lines import LoggedEvent
from conspo_study.results.pace import Report, seconds_left
from conspo_study.results.table import TableBuilder, TrialRow
from conspo_study.results.tail import LogFollower
from conspo_study.watch.curves import Curves

MOSTLY_READ = 1 << 16
"""Unread bytes of a log that are not told: usually a line that is being written."""


def told_left(left: int) -> int:
    """Of so many unread bytes of a log, those that are told."""
    return left if left > MOSTLY_READ else 0


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, without the metrics that it may carry."""

    seq: int
    time: str
    kind: EventKind
    step: int | None
    data: Mapping[str, Any]


class LogTail:
    """What the log at `path` says so far. Not thread-safe: one caller at a time."""

    def __init__(self, path: Path):
        self.path = path
        self._log = LogFollower(path)
        self._forget()

    def _forget(self) -> None:
        self.epoch = self._log.epoch
        """Rises when the log is begun anew: whoever knew earlier sequence numbers forgets them."""
        self.curves: dict[str, Curves] = {}
        self.events: dict[str, list[Happened]] = {"": []}
        """By trial; those of the study under an empty name."""
        self.metrics: dict[str, None] = {}
        """Names that were reported by any trial, in the order in which they were first seen."""

    @property
    def seq(self) -> int:
        """Of the last event that was read."""
        return self._log.seq

    @property
    def left(self) -> int:
        """Bytes still to be read, a line that is being written included."""
        return self._log.left

    @property
    def builder(self) -> TableBuilder:
        """The table so far."""
        return self._log.builder

    @property
    def damage(self) -> str:
        """Why nothing is read from some line on; empty while the log is sound."""
        damage = self._log.damage
        if damage is None:
            return ""
        return f"line {damage.line} of {self.path.name} is damaged: {damage.reason}"

    def advance(self, seconds: float) -> None:
        """Read what is new, for about so many seconds at most."""
        for logged in self._log.new(seconds):
            if self.epoch != self._log.epoch:
                self._forget()
            self._remember(logged)
        if self.epoch != self._log.epoch:
            self._forget()

    def seconds_left(self, row: TrialRow) -> float | None:
        """See `pace.seconds_left`; None while the trial's reports do not tell."""
        events = self.events.get(row.id, [])
        last = next((e for e in reversed(events) if e.kind is EventKind.REPORTED), None)
        first = None
        for happened in reversed(events):
            if happened.kind is EventKind.STARTED:
                break
            if happened.kind is EventKind.REPORTED:
                first = happened
        if not first or not last:
            return None
        return seconds_left(row, _report(first), _report(last))

    def _remember(self, logged: LoggedEvent) -> None:
        event, data, step = logged.event, logged.event.data, logged.event.data.get("step")
        if event.kind is EventKind.REPORTED:
            curves = self.curves.setdefault(event.trial, Curves())
            for seed, metrics in data.get("seeds", {}).items():
                curves.add(int(step or 0), int(seed), metrics)
                if metrics.keys() - self.metrics.keys():
                    self.metrics |= dict.fromkeys(n for n in metrics if n in curves.metrics)
            data = {}
        happened = Happened(
            logged.seq, logged.time, event.kind, step if isinstance(step, int) else None, data
        )
        self.events.setdefault(event.trial, []).append(happened)


def _report(happened: Happened) -> Report:
    try:
        moment = datetime.fromisoformat(happened.time).timestamp()
    except (ValueError, TypeError):
        moment = 0.0
    return moment, happened.step or 0
