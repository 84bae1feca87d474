"""The append-only log of a study: one writer at a time, any number of live readers."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import warnings
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from conspo_study.records import TrialEvent
from conspo_study.results.atomic import sync_directory, write_atomic
from conspo_study.results.lines import (
    LogDamaged,
    LoggedEvent,
    decode_lines,
    encode_line,
    split_torn,
)

__all__ = ["LogDamaged", "LogLocked", "LoggedEvent", "ResultsLog", "read_log"]


class LogLocked(RuntimeError):
    """Another process is writing this log."""


def read_log(path: Path) -> list[LoggedEvent]:
    """All acknowledged events. Never writes: a line that is just being written is left out.

    Raises FileNotFoundError, or LogDamaged naming the line.
    """
    complete, _ = split_torn(path.read_bytes())
    return decode_lines(complete, path)


class ResultsLog:
    """The writer. Opening creates the file, takes its lock and repairs a torn tail.

    Raises LogLocked when another process holds the log, LogDamaged when a complete line is bad,
    OSError when the file cannot be opened or locked. Use it as a context manager.
    """

    def __init__(self, path: Path):
        self.path = path
        self._pid_path = path.with_name(path.name + ".pid")
        self._mutex = threading.Lock()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._lock()
            self._pid_path.write_text(f"{os.getpid()}\n")
            sync_directory(path.parent)
            self.events = self._read_and_repair()
            """All events in the log, those appended through this object included."""
        except BaseException:
            os.close(self._fd)
            self._fd = -1
            raise

    def append(self, event: TrialEvent) -> LoggedEvent:
        """Store one event; it is on disk when this returns.

        Raises ValueError when the event is not strict JSON, OSError naming the file when it cannot
        be written (disk full). The log then ends where it did before, and a later call may succeed.
        """
        with self._mutex:
            if self._fd < 0:
                raise ValueError(f"{self.path} is closed")
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            line, logged = encode_line(len(self.events) + 1, now, event)
            self._write(line)
            self.events.append(logged)
            return logged

    def close(self) -> None:
        """Release the lock. Closing twice is harmless."""
        with self._mutex:
            if self._fd >= 0:
                # Before the lock goes, or it could be the next writer's file that is removed.
                self._pid_path.unlink(missing_ok=True)
                os.close(self._fd)
                self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _lock(self) -> None:
        # flock, not lockf: a POSIX lock would vanish as soon as a reader in this process closed
        # its own handle of the file.
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise OSError(
                    error.errno,
                    f"cannot lock the log ({error.strerror}); put the results on a file system "
                    "that supports locks",
                    str(self.path),
                ) from error
            raise LogLocked(
                f"{self.path} is being written by {self._holder()}; wait for it to end, or stop it"
            ) from None

    def _holder(self) -> str:
        try:
            return f"process {int(self._pid_path.read_text())}"
        except (OSError, ValueError):
            return "another process"

    def _read_and_repair(self) -> list[LoggedEvent]:
        complete, torn = split_torn(self.path.read_bytes())
        events = decode_lines(complete, self.path)
        if torn:
            aside = self._free_name()
            write_atomic(aside, torn)
            os.ftruncate(self._fd, len(complete))
            os.fsync(self._fd)
            warnings.warn(
                f"{self.path}: an unfinished line of {len(torn)} bytes at the end was cut off and "
                f"kept as {aside.name}",
                stacklevel=3,
            )
        return events

    def _free_name(self) -> Path:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.torn-{number}")).exists():
            number += 1
        return aside

    def _write(self, line: bytes) -> None:
        end = os.fstat(self._fd).st_size
        try:
            rest = line
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            os.fsync(self._fd)
        except OSError as error:
            # Shrinking needs no space. Were it to fail too, the tail is torn and the next opening
            # repairs it, but nothing may be glued to it.
            try:
                os.ftruncate(self._fd, end)
            except OSError:
                os.close(self._fd)
                self._fd = -1
            raise OSError(
                error.errno,
                f"cannot write to the results log ({error.strerror}); the event was not stored and "
                "the log is intact",
                str(self.path),
            ) from error
