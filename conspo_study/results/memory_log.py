"""A results log without a disk, for searches that are replayed."""

from __future__ import annotations

from collections.abc import Iterable

from conspo_study.records import TrialEvent
from conspo_study.results.lines import LoggedEvent, encode_line
from conspo_study.results.table import StudyTable, TableBuilder

_TIME = "2026-01-01T00:00:00.000Z"


class MemoryLog:
    """What is appended has gone through the line format, as in `ResultsLog`."""

    def __init__(self, events: Iterable[LoggedEvent] = ()):
        self.events = list(events)
        self._builder = TableBuilder(self.events)

    @property
    def table(self) -> StudyTable:
        """What all events so far come to."""
        return self._builder.table

    def append(self, event: TrialEvent) -> LoggedEvent:
        """Store one event. Raises ValueError as `ResultsLog.append`."""
        _, logged = encode_line(len(self.events) + 1, _TIME, event)
        self._builder.add(logged)
        self.events.append(logged)
        return logged
