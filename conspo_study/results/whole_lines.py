"""Reads a log that is as its writer left it, line by line: most logs are.

A report's metrics are nearly all of a log, and few who open it ask for those of every report. They
are parsed and checked once, and then kept as the text that they came from, a third of their size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.lines import LoggedEvent, check_number, decode_line
from conspo_study.untrusted import CHUNK, LONGEST_LINE, parse_strict


class NotAsWritten(ValueError):
    """A log is torn, edited, damaged or just being written: `lines` tells which, from all of it."""


class StoredReport(TrialEvent):
    """A report whose `data` is parsed whenever it is asked for."""

    __slots__ = ("_line",)
    _line: bytes

    def __init__(self, trial: str, line: bytes):
        for name, value in (("kind", EventKind.REPORTED), ("trial", trial), ("_line", line)):
            object.__setattr__(self, name, value)

    @property
    def data(self) -> dict[str, Any]:
        """As `TrialEvent.data`: another object each time."""
        found: dict[str, Any] = parse_strict(self._line)["data"]
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TrialEvent):
            return NotImplemented
        mine = self.kind, self.trial, self.data
        return mine == (other.kind, other.trial, other.data)

    __hash__ = None  # type: ignore[assignment]


def in_short(logged: LoggedEvent, line: bytes) -> LoggedEvent:
    """The event to be kept, where many are: `line` is the one that it was decoded from."""
    if logged.event.kind is not EventKind.REPORTED:
        return logged
    return LoggedEvent(logged.seq, logged.time, StoredReport(logged.event.trial, line))


def whole_lines(file: BinaryIO) -> Iterator[tuple[bytes, LoggedEvent]]:
    """The lines of an open log, without newlines, and their events, each checked.

    Raises NotAsWritten as `numbered_lines`.
    """
    for number, line in numbered_lines(file):
        try:
            logged = decode_line(line)
            check_number(logged.seq, number)
        except (ValueError, RecursionError) as error:
            raise NotAsWritten from error
        yield line, logged


def numbered_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines of an open log, without newlines, and their numbers from 1; not yet checked.

    Raises NotAsWritten at the first byte that is not of a complete line just as it was written.
    """
    number, rest = 0, b""
    while chunk := file.read(CHUNK):
        if b"\r" in chunk:
            raise NotAsWritten
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number += 1
            # Nothing that an editor puts around a line begins or ends like one.
            if line[:1] != b"{" or line[-1:] != b"}":
                raise NotAsWritten
            yield number, line
        if len(rest) > LONGEST_LINE:
            raise NotAsWritten
    if rest:
        raise NotAsWritten
