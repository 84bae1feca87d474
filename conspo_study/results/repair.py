"""Repair of a damaged log.

The longest trustworthy beginning goes into a copy, the rest into a second file for people to read.
The log itself is not touched: whoever reads what was lost decides whether to put the copy in place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from conspo_study.files import free_path, write_atomic
from conspo_study.records import EventKind, TrialState
from conspo_study.results.lines import (
    LINE_START,
    NUL,
    LoggedEvent,
    bare,
    check_number,
    decode_line,
    split_torn,
)
from conspo_study.results.reading import stored_lines
from conspo_study.results.table import StudyTable, TableBuilder

_ENDS = (EventKind.FINISHED, EventKind.COLLAPSED, EventKind.PRUNED, EventKind.FAILED)


@dataclass(frozen=True, slots=True)
class Repair:
    """The outcome for one log."""

    log: Path
    kept: int
    """Events of the copy."""
    line: int
    """First line that is not in the copy as it was; 0 when the log is undamaged."""
    reason: str
    copy: Path | None = None
    rest: Path | None = None
    """What follows the trustworthy beginning, byte by byte; None when that is nothing."""
    lost: tuple[LoggedEvent, ...] = ()
    """Events of `rest` that can still be read, though their order or context is gone."""
    unreadable: int = 0
    """Lines of `rest` that cannot be read."""
    lost_ends: tuple[str, ...] = ()
    """Trials known to have ended after the damage: they run again."""
    open_trials: tuple[str, ...] = ()
    """Trials that the copy leaves without an end."""

    def lines(self) -> list[str]:
        """The outcome for people."""
        if self.copy is None:
            return [f"{self.log} is undamaged: {self.kept} events"]
        found = f"{self.log}: line {self.line}: {self.reason}"
        said = [found, f"wrote {self.copy}: the {self.kept} events that can be trusted"]
        if self.rest is None:
            return [*said, "no event is lost", self._advice()]
        said.append(
            f"wrote {self.rest}: the rest, with {len(self.lost)} readable events and "
            f"{self.unreadable} lines that are not"
        )
        for trial in self.lost_ends:
            ends = [e.event for e in self.lost if e.event.trial == trial and e.event.kind in _ENDS]
            value = ends[0].data.get("value")
            shown = f" with {value:.6g}" if isinstance(value, float) else ""
            said.append(f"lost: the end of {trial}, which {ends[0].kind}{shown}; it runs again")
        others = [trial for trial in self.open_trials if trial not in self.lost_ends]
        if others:
            said.append(f"without an end in the copy: {', '.join(others)}; they run again")
        if self.unreadable:
            said.append("what the unreadable lines said is not known")
        return [*said, self._advice()]

    def _advice(self) -> str:
        log, copy = self.log.name, self.copy.name if self.copy else ""
        return (
            f"to go on with the copy, in {self.log.parent}: mv {log} {log}.damaged && "
            f"mv {copy} {log}, then resume; trials that run again start from their checkpoints"
        )


def repair_log(path: Path) -> Repair:
    """Save what can be saved of the log at `path`, beside it, without changing it.

    Trustworthy is what carries its own checksum, the next sequence number and no contradiction to
    what is before it, so lines that merely run into each other are told apart again. Raises
    OSError when the log cannot be read or the copy cannot be written, ValueError naming a line
    that no log has.
    """
    try:
        complete, torn = split_torn(stored_lines(path))
    except ValueError as error:
        raise ValueError(f"{error}. No log has such a line: cut the file off before it") from None
    content = complete + torn
    lines = complete.split(b"\n")[:-1]
    builder, good = TableBuilder(), bytearray()
    kept = first = rest_begins = 0
    reason = ""
    for number, line in enumerate(lines, start=1):
        pieces = _pieces(line)
        if sum(map(bool, map(bare, pieces))) > 1 and not first:
            first, reason = number, "two lines run into each other"
        for piece in pieces:
            if not bare(piece):
                rest_begins += len(piece)
                continue
            try:
                logged = decode_line(bare(piece))
                check_number(logged.seq, kept + 1)
                builder.add(logged)
            except (ValueError, RecursionError) as error:
                first, reason = (first, reason) if first else (number, str(error))
                break
            good += bare(piece) + b"\n"
            kept += 1
            rest_begins += len(piece)
        else:
            rest_begins += 1
            continue
        break
    rest = content[rest_begins:]
    if not first and not torn:
        return Repair(path, kept, 0, "")
    if not first:
        cut = (
            "it holds zeros, as after a power cut"
            if NUL in torn
            else "it has no end, as after a kill"
        )
        first, reason = len(lines) + 1, f"{cut} while it was written"
    copy = free_path(path, "repaired")
    write_atomic(copy, bytes(good))
    if not rest:
        return Repair(path, kept, first, reason, copy)
    aside = free_path(path, "rest")
    write_atomic(aside, rest)
    lost, unreadable = _readable(rest)
    return Repair(
        log=path,
        kept=kept,
        line=first,
        reason=reason,
        copy=copy,
        rest=aside,
        lost=lost,
        unreadable=unreadable,
        lost_ends=_lost_ends(builder.table, lost),
        open_trials=tuple(
            row.id
            for row in builder.table.all_rows
            if not row.state.ended and row.state is not TrialState.PAUSED
        ),
    )


def _pieces(line: bytes) -> list[bytes]:
    """The line, or the lines that ran into each other in it; what editors left is one, too."""
    try:
        decode_line(bare(line))
    except (ValueError, RecursionError):
        return [piece for piece in re.split(b"(?=" + re.escape(LINE_START) + b")", line) if piece]
    return [line]


def _readable(rest: bytes) -> tuple[tuple[LoggedEvent, ...], int]:
    """Events with a right checksum, and how many pieces have none."""
    found, unreadable = [], 0
    for line in filter(None, rest.split(b"\n")):
        for piece in filter(bare, _pieces(line)):
            try:
                found.append(decode_line(bare(piece)))
            except (ValueError, RecursionError):
                unreadable += 1
    return tuple(found), unreadable


def _lost_ends(table: StudyTable, lost: tuple[LoggedEvent, ...]) -> tuple[str, ...]:
    """Trials that ended in `lost` and not in `table`, in the order of their ends."""
    kept = {row.id: row.state for row in table.all_rows}
    ended = [logged.event.trial for logged in lost if logged.event.kind in _ENDS]
    return tuple(
        trial for trial in dict.fromkeys(ended) if not kept.get(trial, TrialState.WAITING).ended
    )
