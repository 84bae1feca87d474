"""The results log, read as it grows: what is kept in memory is what a page shows of it.

A log is only ever read. What was read once is not read again; a log that was replaced is begun
anew.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from conspo_study.records import EventKind
from conspo_study.results.lines import LoggedEvent, bare, check_number, decode_line
from conspo_study.results.pace import Report, seconds_left
from conspo_study.results.table import TableBuilder, TrialRow
from conspo_study.watch.curves import Curves

CHUNK = 1 << 20
"""Bytes that are read at once."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, without the metrics that it may carry."""

    seq: int
    time: str
    kind: EventKind
    step: int | None
    said: Mapping[str, Any]


class LogTail:
    """What the log at `path` says so far. Not thread-safe: one caller at a time."""

    def __init__(self, path: Path):
        self.path = path
        self.epoch = 0
        """Rises when the log is begun anew: whoever knew earlier sequence numbers forgets them."""
        self._file: tuple[int, int] | None = None
        self._touched = 0
        self._reset()

    def _reset(self) -> None:
        self.epoch += 1
        self.seq = 0
        """Of the last event that was read."""
        self.damage = ""
        """Why nothing is read from some line on; empty while the log is sound."""
        self.left = 0
        """Bytes that are still to be read, a line that is being written included."""
        self.builder = TableBuilder()
        self.curves: dict[str, Curves] = {}
        self.events: dict[str, list[Happened]] = {"": []}
        """By trial; those of the study under an empty name."""
        self.metrics: dict[str, None] = {}
        """Names that were reported by any trial, in the order in which they were first seen."""
        self._offset = 0

    def advance(self, seconds: float) -> None:
        """Read what is new, for about so many seconds at most."""
        deadline = time.monotonic() + seconds
        try:
            stat = self.path.stat()
        except OSError:
            if self._file is not None:
                self._file = None
                self._reset()
            return
        file_now, touched = (stat.st_dev, stat.st_ino), stat.st_mtime_ns
        replaced = self._file not in (None, file_now) or stat.st_size < self._offset
        if replaced or (self.damage and touched != self._touched):
            self._reset()
        self._file, self._touched = file_now, touched
        if self.damage:
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            rest, moved = b"", False
            while chunk := file.read(CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                moved = moved or bool(lines)
                # A line is taken whole, however long that takes, or it never would be.
                if not all(map(self._take, lines)) or (moved and time.monotonic() > deadline):
                    break
        self.left = 0 if self.damage else stat.st_size - self._offset

    def seconds_left(self, row: TrialRow) -> float | None:
        """See `pace.seconds_left`; None while the trial's reports do not tell."""
        mine = self.events.get(row.id, [])
        last = next((e for e in reversed(mine) if e.kind is EventKind.REPORTED), None)
        first = None
        for happened in reversed(mine):
            if happened.kind is EventKind.STARTED:
                break
            if happened.kind is EventKind.REPORTED:
                first = happened
        if not first or not last:
            return None
        return seconds_left(row, _report(first), _report(last))

    def _take(self, line: bytes) -> bool:
        """Take in the next line; whether it is sound."""
        number = self.seq + 1
        if not bare(line):
            self._offset += len(line) + 1
            return True
        try:
            logged = decode_line(bare(line))
            check_number(logged, number)
            self.builder.add(logged)
        except (ValueError, RecursionError) as error:
            self.damage = f"line {number} of {self.path.name} is damaged: {error}"
            return False
        self.seq = number
        self._offset += len(line) + 1
        self._remember(logged)
        return True

    def _remember(self, logged: LoggedEvent) -> None:
        event, said, step = logged.event, logged.event.data, logged.event.data.get("step")
        if event.kind is EventKind.REPORTED:
            curves = self.curves.setdefault(event.trial, Curves())
            for seed, metrics in said.get("seeds", {}).items():
                curves.add(int(step or 0), int(seed), metrics)
                if metrics.keys() - self.metrics.keys():
                    self.metrics |= dict.fromkeys(n for n in metrics if n in curves.metrics)
            said = {}
        happened = Happened(
            logged.seq, logged.time, event.kind, step if isinstance(step, int) else None, said
        )
        self.events.setdefault(event.trial, []).append(happened)


def _report(happened: Happened) -> Report:
    try:
        moment = datetime.fromisoformat(happened.time).timestamp()
    except (ValueError, TypeError):
        moment = 0.0
    return moment, happened.step or 0
