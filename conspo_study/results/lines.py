"""The line format of the results log: one strict JSON object per line, with a checksum.

    {"seq":1,"time":"2026-01-01T00:00:00.000Z","event":"started","trial":"t0","data":{},"crc32":"..."}

`seq` counts from 1 without gaps, so it is also the line number. `crc32` is the CRC-32, 8 hex
digits, of the bytes before `,"crc32"`. This is format 2. Lines of format 1 end in `crc` instead,
the CRC-32 of the canonical JSON (sorted keys, no blanks, ASCII) of the other fields; they are read,
and a log may begin with them, but no longer written.

Editors and git may change what surrounds a line and not the line: line ends, blanks at the ends,
empty lines, a byte order mark, the last newline. Such a log is read as if nothing had happened.
"""

from __future__ import annotations

import json
import re
import shlex
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conspo_study.records import EventKind, TrialEvent
from conspo_study.untrusted import TooDeep, parse_strict

_TRIAL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_STUDY_EVENTS = (EventKind.STUDY_STARTED, EventKind.STUDY_FINISHED)
LINE_START = b'{"seq":'
"""How every line begins."""
NUL = b"\0"
"""What a file holds where it was extended and a power cut came before its content."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIELDS = ("seq", "time", "event", "trial", "data")
_SHOWN = 60
"""Characters of a damaged value that a message has room for."""
_REPORT = re.compile(
    rb'\{"seq":([1-9]\d{0,17}),"time":"([0-9T:.Z-]{20,30})","event":"reported",'
    rb'"trial":"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})",'
    rb'"data":\{"step":[1-9]\d{0,8},"steps":[1-9]\d{0,8},"seeds":\{'
)
_KINDS = {kind.value: kind for kind in EventKind}
_CRC32, _END = b',"crc32":"', b'"}'
_TAIL = len(_CRC32) + 8 + len(_END)
"""Bytes from the comma before the checksum to the end of a line of format 2."""


class LogDamaged(ValueError):
    """The log cannot be trusted from some line on. Nothing was changed."""

    def __init__(self, path: Path, line: int, reason: str):
        self.line, self.reason = line, reason
        super().__init__(
            f"{path}: line {line} is damaged: {reason}. Nothing was changed. Restore the file from "
            f"a copy, or see what can be saved: conspo repair "
            f"{shlex.quote(str(path.parent))}"
        )


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event as it stands in the log."""

    seq: int
    """1, 2, 3, ... in the order of writing."""
    time: str
    """When it was written, ISO 8601 in UTC. Clocks jump: order by `seq`, never by this."""
    event: TrialEvent


def encode_line(seq: int, time: str, event: TrialEvent) -> tuple[bytes, LoggedEvent]:
    """The line with its newline, and the event exactly as a reader will see it.

    Raises ValueError when the event cannot be stored.
    """
    try:
        # Through JSON once: keys that differ only before it, such as 1 and "1", are one key.
        data = json.loads(_dump(event.data))
        record = {"seq": seq, "time": time, "event": event.kind, "trial": event.trial}
        body = _dump({**record, "data": data}).removesuffix("}").encode()
        line = body + _CRC32 + _crc32(body) + _END
        return line + b"\n", decode_line(line)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"the event {event.kind.value} of trial {event.trial!r} cannot be logged: {error}; "
            "the log takes plain JSON values and finite numbers"
        ) from error


def split_torn(content: bytes) -> tuple[bytes, bytes]:
    """The complete lines, and what follows them, with newlines for whatever line ends there are.

    A line is acknowledged only once its newline is on disk, so an unterminated one is torn, unless
    it is whole by its own checksum. So is a last line with zeros in it, whatever its end: it was
    being written when the power was cut.
    """
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    end = content.rfind(b"\n") + 1
    last = content[end:]
    if last and (not bare(last) or _is_whole(last)):
        return content + b"\n", b""
    if not last.strip(NUL):
        # The block with the line's end reached the disk, one before it did not.
        filled = content[:end].rstrip(b"\n \t")
        begin = filled.rfind(b"\n") + 1
        if NUL in filled[begin:]:
            end = begin
    return content[:end], content[end:]


def bare(line: bytes) -> bytes:
    """The line without what an editor may have put around it; empty for a line of nothing else."""
    return line.removeprefix(_BYTE_ORDER_MARK).strip(b" \t\r")


def as_written(complete: bytes) -> bytes:
    """Complete lines without what editors have put around them."""
    lines = filter(None, map(bare, complete.split(b"\n")))
    return b"".join(line + b"\n" for line in lines)


def decode_lines(content: bytes, path: Path) -> list[LoggedEvent]:
    """Read complete lines. Raises LogDamaged naming the first bad line and what to do."""
    events: list[LoggedEvent] = []
    for number, line in enumerate(map(bare, content.split(b"\n")), start=1):
        if not line:
            continue
        try:
            logged = decode_line(line)
            check_number(logged.seq, len(events) + 1)
        except (ValueError, RecursionError) as error:
            raise LogDamaged(path, number, str(error)) from None
        events.append(logged)
    return events


def check_number(seq: int, number: int) -> None:
    """Raises ValueError unless an event carries the sequence number of its place."""
    if seq != number:
        raise ValueError(f"it carries sequence number {seq}: lines are missing or doubled")


def head_of_report(line: bytes) -> tuple[int, str, str] | None:
    """Sequence number, time and trial of a report after the start, whose data is not parsed: the
    next report of the trial supersedes all of it. None for any other line.

    Raises ValueError where the checksum does not match the bytes, or the time is no date.
    """
    found = _REPORT.match(line)
    if found is None or not line[-_TAIL:].startswith(_CRC32):
        return None
    _body(line)
    time = found[2].decode()
    _check_time(time)
    return int(found[1]), time, found[3].decode()


def decode_line(line: bytes) -> LoggedEvent:
    """One bare line, wherever it stands. Raises ValueError saying what is wrong."""
    record = _checked(line) if line[-_TAIL:].startswith(_CRC32) else _checked_format_1(line)
    if tuple(record) != _FIELDS:
        raise ValueError(f"its fields are not {', '.join(_FIELDS)} and a checksum")
    if type(record["seq"]) is not int:
        raise ValueError("its sequence number is not an integer")
    kind = _KINDS.get(record["event"]) if isinstance(record["event"], str) else None
    if kind is None:
        raise ValueError(f"unknown event {record['event']!r}, perhaps from a newer version")
    if not isinstance(record["data"], dict):
        raise ValueError("its data is not an object")
    _check_time(record["time"])
    _check_trial(kind, record["trial"])
    event = TrialEvent(kind, record["trial"], record["data"])
    return LoggedEvent(record["seq"], record["time"], event)


def _checked(line: bytes) -> dict[str, Any]:
    """The fields of a line of format 2 whose bytes have the checksum that it states."""
    return _parsed(_body(line) + b"}")


def _body(line: bytes) -> bytes:
    body, crc = line[:-_TAIL], line[-_TAIL + len(_CRC32) :]
    if crc != _crc32(body) + _END:
        raise ValueError(_glued(line) or "its checksum does not match its content")
    return body


def _checked_format_1(line: bytes) -> dict[str, Any]:
    record = _parsed(line)
    crc = record.pop("crc", None)
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    # Comparing bytes as well catches what parses to the same value: doubled keys, 1E2 for 100.0.
    if crc != _crc32(canonical.encode()).decode() or _dump({**record, "crc": crc}).encode() != line:
        raise ValueError("its checksum does not match its content")
    return record


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        record = parse_strict(text)
    except TooDeep:
        raise
    except ValueError as error:
        raise ValueError(_glued(text) or "it is not a JSON object") from error
    if not isinstance(record, dict):
        raise ValueError("it is not a JSON object")
    return record


def _glued(line: bytes) -> str:
    return "two lines run into each other" if line.count(LINE_START) > 1 else ""


def _is_whole(line: bytes) -> bool:
    try:
        decode_line(bare(line))
    except (ValueError, RecursionError):
        return False
    return True


def _check_time(time: Any) -> None:
    """Times are subtracted and shown as dates."""
    try:
        datetime.fromisoformat(time).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"its time is no date: {_shown(time)}") from None


def _check_trial(kind: EventKind, trial: Any) -> None:
    """Trial ids become folder names, so they must not be able to leave the results directory."""
    if not isinstance(trial, str):
        raise ValueError(f"its trial is no text: {_shown(trial)}")
    if kind in _STUDY_EVENTS:
        if trial:
            raise ValueError(f"a {kind.value} event belongs to no trial, got {trial!r}")
    elif kind is EventKind.INCIDENT and not trial:
        return  # it belongs to the whole study
    elif not _TRIAL_ID.fullmatch(trial):
        raise ValueError(
            f"a {kind.value} event needs a trial id of up to 64 letters, digits, '_', '-' and '.', "
            f"got {trial!r}"
        )


def _shown(value: Any) -> str:
    return json.dumps(value)[:_SHOWN]


def _crc32(content: bytes) -> bytes:
    """8 hex digits."""
    return b"%08x" % zlib.crc32(content)


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
