"""The whole of a log, read and checked once, without writing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from conspo_study.results.lines import (
    LogDamaged,
    LoggedEvent,
    as_written,
    decode_lines,
    split_torn,
)
from conspo_study.results.reading import MOST_LINES, open_stored
from conspo_study.results.table import TableBuilder
from conspo_study.results.whole_lines import NotAsWritten, in_short, whole_lines
from conspo_study.untrusted import LineTooLong, all_lines


@dataclass(frozen=True, slots=True)
class LogContent:
    """A log that was read once."""

    events: list[LoggedEvent]
    """All acknowledged events."""
    builder: TableBuilder
    """The table that they come to."""
    stamp: tuple[int, ...] | None = None
    """Changes whenever the file does; None for a log that does not exist, or needs a repair."""


def read_log(path: Path) -> list[LoggedEvent]:
    """All acknowledged events. Never writes: a line that is just being written is left out.

    Raises LogDamaged naming the line, OSError where the file cannot be read.
    """
    with open_stored(path, MOST_LINES) as file:
        try:
            return [in_short(logged, line) for line, logged in whole_lines(file)]
        except NotAsWritten:
            complete, _ = split_torn(whole_content(file, path))
    return decode_lines(complete, path)


def read_content(path: Path) -> LogContent:
    """The log with its table, empty where there is no log. Never writes.

    Raises LogDamaged naming a line that is damaged or contradicts those before it, OSError.
    """
    try:
        with open_stored(path, MOST_LINES) as file:
            before = stamp_of(file.fileno())
            if (whole := content_as_written(file)) is not None:
                unchanged = stamp_of(file.fileno()) == before
                return LogContent(whole.events, whole.builder, before if unchanged else None)
            content = whole_content(file, path)
    except (FileNotFoundError, NotADirectoryError):
        return LogContent([], TableBuilder())
    complete, _ = split_torn(content)
    events = decode_lines(complete, path)
    as_it_should_be = content == as_written(complete) and len(content) == before[2]
    return LogContent(events, folded(events, path), before if as_it_should_be else None)


def content_as_written(file: BinaryIO) -> LogContent | None:
    """An open log with its table, without a stamp; None where it is not as its writer left it:
    then `whole_content` has all of it."""
    events: list[LoggedEvent] = []
    builder = TableBuilder()
    try:
        for line, logged in whole_lines(file):
            builder.add(logged)
            events.append(in_short(logged, line))
    except ValueError:
        return None
    return LogContent(events, builder)


def whole_content(file: BinaryIO, path: Path) -> bytes:
    """An open log from its start. Raises LogDamaged for a line that is too long to be one."""
    file.seek(0)
    try:
        return all_lines(file, MOST_LINES)
    except LineTooLong as error:
        raise LogDamaged(path, error.line, str(error)) from None


def folded(events: Iterable[LoggedEvent], path: Path) -> TableBuilder:
    """The table of events. Raises LogDamaged naming one that contradicts those before it."""
    builder = TableBuilder()
    for logged in events:
        try:
            builder.add(logged)
        except ValueError as error:
            raise LogDamaged(path, logged.seq, str(error)) from None
    return builder


def stamp_of(handle: int) -> tuple[int, ...]:
    """Of an open file: changes whenever it does."""
    stat = os.fstat(handle)
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
