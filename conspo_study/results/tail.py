"""Files that are read while they grow: each complete line once, and the events of a log.

Nothing is ever written. A file that was replaced, cut short or removed is begun anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import inf
from pathlib import Path

from conspo_study.results.lines import (
    NUL,
    LogDamaged,
    LoggedEvent,
    bare,
    check_number,
    decode_line,
)
from conspo_study.results.reading import MOST_LINES, open_stored
from conspo_study.results.table import TableBuilder
from conspo_study.untrusted import CHUNK, LONGEST_LINE, LineTooLong


class LineReader:
    """The complete lines of the file at `path`, each once."""

    def __init__(self, path: Path):
        self.path = path
        self.start = 0
        """Counts how often the file was begun anew: whoever keeps lines of an earlier start drops
        them."""
        self.left = 0
        """Bytes still to be read, a line that is being written included."""
        self._file: tuple[int, int] | None = None
        self._offset = self._count = 0

    def look(self) -> int | None:
        """Notice whether the file is still the one that was read before. Returns when it was last
        changed, in ns; None when there is none."""
        try:
            stat = self.path.lstat()
        except OSError:
            if self._file is not None:
                self.begin_anew()
            return None
        identity = (stat.st_dev, stat.st_ino)
        if self._file not in (None, identity) or stat.st_size < self._offset:
            self.begin_anew()
        self._file, self.left = identity, stat.st_size - self._offset
        return stat.st_mtime_ns

    def begin_anew(self) -> None:
        """Forget what was read."""
        self.start += 1
        self._file, self._offset, self._count, self.left = None, 0, 0, 0

    def put_back(self, line: bytes) -> None:
        """Let the line that was read last be read again."""
        self._offset -= len(line) + 1
        self._count -= 1
        self.left += len(line) + 1

    def new(self, seconds: float = inf) -> Iterator[bytes]:
        """Lines since the last call, without their newlines, for about `seconds` at most; none
        without a file. Raises OSError when the file cannot be read, LineTooLong."""
        deadline = time.monotonic() + seconds
        if self.look() is None:
            return
        with open_stored(self.path, MOST_LINES) as file:
            file.seek(self._offset)
            rest, moved = b"", False
            while chunk := file.read(CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._offset += len(line) + 1
                    self.left = max(0, self.left - len(line) - 1)
                    self._count += 1
                    yield line
                if len(rest) > LONGEST_LINE:
                    raise LineTooLong(self._count + 1)
                # A line is taken whole, however long that takes, or it never would be.
                moved = moved or bool(lines)
                if moved and time.monotonic() > deadline:
                    return


class LogFollower:
    """The events of the log at `path`, each once, and the table that they come to.

    Not thread-safe: one caller at a time.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lines = LineReader(path)
        self._touched: int | None = None
        self._reset()

    def _reset(self) -> None:
        self._start = self._lines.start
        self.seq = 0
        """Of the last event that was read."""
        self.damage: LogDamaged | None = None
        """Why nothing is read from some line on, until the file is changed."""
        self.builder = TableBuilder()

    @property
    def epoch(self) -> int:
        """Rises when the log is begun anew: earlier sequence numbers then mean nothing."""
        return self._start + 1

    @property
    def left(self) -> int:
        """Bytes still to be read, a line that is being written included; 0 of a damaged log."""
        return 0 if self.damage else self._lines.left

    def new(self, seconds: float = inf) -> Iterator[LoggedEvent]:
        """Events since the last call, for about `seconds` at most. They end at `damage`."""
        touched = self._lines.look()
        if self.damage and touched != self._touched:
            self._lines.begin_anew()
        self._touched = touched
        if self._start != self._lines.start:
            self._reset()
        if self.damage:
            return
        line = b""
        try:
            for line in self._lines.new(seconds):
                if not bare(line):
                    continue
                logged = decode_line(bare(line))
                check_number(logged.seq, self.seq + 1)
                self.builder.add(logged)
                self.seq += 1
                yield logged
        except (ValueError, RecursionError) as error:
            if NUL in line and not self._lines.left:
                self._lines.put_back(line)  # torn by a power cut, unless something follows
                return
            self.damage = LogDamaged(self.path, self.seq + 1, str(error))
