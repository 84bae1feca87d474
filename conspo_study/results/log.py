"""The append-only log of a study: one writer at a time, any number of live readers."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from conspo_study.files import flush, free_path, naming, open_to_append, write_all, write_atomic
from conspo_study.records import TrialEvent
from conspo_study.results.content import (
    LogContent,
    content_as_written,
    folded,
    read_log,
    stamp_of,
    whole_content,
)
from conspo_study.results.lease import Lease, LeaseLost, LogLocked
from conspo_study.results.lines import (
    NUL,
    LogDamaged,
    LoggedEvent,
    as_written,
    decode_lines,
    encode_line,
    split_torn,
)
from conspo_study.results.table import StudyTable
from conspo_study.results.whole_lines import in_short

__all__ = [
    "LeaseLost",
    "LogContent",
    "LogDamaged",
    "LogLocked",
    "LoggedEvent",
    "ResultsLog",
    "read_log",
]


class ResultsLog:
    """The writer. Opening creates the file, takes its lock and the lease, repairs a torn tail.

    Raises LogLocked when another process holds the log, LogDamaged when a complete line is bad or
    contradicts those before it, OSError when the file cannot be opened or locked. Use it as a
    context manager.

    content: the log as it was read before; it is read again only if it has changed since.
    """

    def __init__(self, path: Path, lease: Lease | None = None, content: LogContent | None = None):
        self.path = path
        self.failure: BaseException | None = None
        """Why an event could not be stored. Nothing is logged after an event that was lost."""
        self.notices: list[str] = []
        """What opening found, and a person should know."""
        self._lease = lease
        self._mutex = threading.Lock()
        self._fd = open_to_append(path)
        self._replaced = -1
        """The file that was found, where it had to be replaced; it stays locked, too."""
        try:
            self._lock()
            if lease is not None:
                # Before the tail is repaired: where locks do not reach other machines, it may be a
                # line that a driver there is just writing.
                lease.acquire()
                self.notices += [lease.notice] if lease.notice else []
            flush(path.parent)
            if content is None or content.stamp != stamp_of(self._fd):
                content = self._read_and_repair()
            self.events = content.events
            """All events in the log, those appended through this object included."""
            self._builder = content.builder
        except BaseException:
            self.close()
            raise

    @property
    def table(self) -> StudyTable:
        """What all events so far come to. Any thread may ask, as often as it likes."""
        return self._builder.table

    def append(self, event: TrialEvent) -> LoggedEvent:
        """Store one event; it is on disk when this returns.

        Raises ValueError when the event is not strict JSON or contradicts the log, LeaseLost when
        another driver has taken over, OSError naming the file when it cannot be written (disk
        full). After the last two the log is intact and takes no more: the same error is raised
        again, since whoever overlooks it must not log what came after.
        """
        with self._mutex:
            if self.failure is not None:
                raise self.failure
            if self._fd < 0:
                raise ValueError(f"{self.path} is closed")
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            line, logged = encode_line(len(self.events) + 1, now, event)
            self._builder.check(logged)
            try:
                if self._lease is not None:
                    self._lease.check()
                self._write(line)
                self.events.append(in_short(logged, line))
                self._builder.add(logged)
            except BaseException as error:  # an interrupt too may leave it open what is stored
                self.failure = error
                raise
            return logged

    def close(self) -> None:
        """Return lease and lock. Closing twice is harmless."""
        with self._mutex:
            if self._fd >= 0:
                if self._lease is not None:
                    # Before the lock goes, or the next driver would find a lease without a lock.
                    self._lease.release()
                for handle in (self._fd, self._replaced):
                    if handle >= 0:
                        os.close(handle)
                self._fd = self._replaced = -1

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
        import fcntl  # here, since Windows, where logs are read, has none

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
            holder = self._lease.holder() if self._lease is not None else None
            raise LogLocked(
                f"{self.path} is being written by {holder or 'another process'}; wait for it to "
                "end, or stop it"
            ) from None

    def _read_and_repair(self) -> LogContent:
        """Read the log; leave nothing in the file but its complete lines, as they were written."""
        with (
            naming(self.path, "cannot read the results log"),
            os.fdopen(self._fd, "rb", closefd=False) as file,
        ):
            file.seek(0)
            if (whole := content_as_written(file)) is not None:
                return whole
            content = whole_content(file, self.path)
        complete, torn = split_torn(content)
        events = decode_lines(complete, self.path)
        found = LogContent(events, folded(events, self.path))
        written = as_written(complete)
        if content == written:
            return found
        if content + b"\n" == written:
            with naming(self.path, "cannot mend its last line"):
                write_all(self._fd, b"\n")
                os.fsync(self._fd)
            self.notices.append(f"{self.path.name}: the last line had no newline: added")
        elif content == written + torn:
            aside = free_path(self.path, "torn")
            write_atomic(aside, torn)
            with naming(self.path, "cannot cut off its last line"):
                os.ftruncate(self._fd, len(written))
                os.fsync(self._fd)
            zeros = (
                "; it holds zeros, as after a power cut: if the disk loses what it says it has "
                "written, they stand for events"
            )
            self.notices.append(
                f"{self.path.name}: an unfinished line of {len(torn)} bytes at the end was cut off "
                f"and kept as {aside.name}{zeros if NUL in torn else ''}"
            )
        else:
            aside = free_path(self.path, "original")
            write_atomic(aside, content)
            self._replace(written)
            unfinished = (
                f", and an unfinished line of {len(torn)} bytes is left out" if torn else ""
            )
            self.notices.append(
                f"{self.path.name}: all {len(events)} events are whole, but line ends or blanks "
                f"around them had changed (an editor, or git's autocrlf): restored{unfinished}; "
                f"the file as it was is kept as {aside.name}"
            )
        return found

    def _replace(self, content: bytes) -> None:
        """Put a file with `content` in the log's place, whole or not at all, and lock it."""
        write_atomic(self.path, content)
        opened = open_to_append(self.path)
        self._replaced, self._fd = self._fd, opened
        self._lock()

    def _write(self, line: bytes) -> None:
        with naming(
            self.path,
            "cannot write to the results log",
            "; the event was not stored and the log is intact",
        ):
            end = os.fstat(self._fd).st_size
            try:
                write_all(self._fd, line)
                os.fsync(self._fd)
            except OSError:
                # Shrinking needs no space. Were it to fail too, the tail is torn and the next
                # opening repairs it.
                with suppress(OSError):
                    os.ftruncate(self._fd, end)
                raise
