"""The table of a log for those who only show it, in a fraction of the time.

Nearly all of a log are reports that the next report of the same trial supersedes. Here every line
is held against its checksum, its number and its time, as everywhere, but a superseded report is not
parsed: what it says is in no table. So a damaged log is found, and only a line that somebody made
up, with a right checksum over something else than a report, is not. Whoever writes a log, or
computes from all of it, reads it with `content`.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from conspo_study.results.content import LogContent, read_content
from conspo_study.results.lines import LoggedEvent, check_number, decode_line, head_of_report
from conspo_study.results.reading import MOST_LINES, open_stored
from conspo_study.results.table import TableBuilder
from conspo_study.results.whole_lines import StoredReport, in_short, numbered_lines


def glance_at(path: Path) -> LogContent:
    """The log with its table, as by `read_content`, whose errors it raises; without a stamp.

    `data` of an event that is a superseded report may raise ValueError.
    """
    try:
        with open_stored(path, MOST_LINES) as file:
            found = _superficially(file)
    except (FileNotFoundError, NotADirectoryError):
        found = None
    return read_content(path) if found is None else found


def _superficially(file: BinaryIO) -> LogContent | None:
    """None where anything is not as it should be: reading all of it says what."""
    events: list[LoggedEvent] = []
    builder = TableBuilder()
    latest: dict[str, LoggedEvent] = {}
    """The last report of each trial, while nothing else has followed of the trial."""
    try:
        for number, line in numbered_lines(file):
            head = head_of_report(line)
            if head is None:
                logged = decode_line(line)
                if logged.event.trial in latest:
                    builder.add(latest.pop(logged.event.trial))
                builder.add(logged)
                logged = in_short(logged, line)
            else:
                seq, time, trial = head
                logged = latest[trial] = LoggedEvent(seq, time, StoredReport(trial, line))
            check_number(logged.seq, number)
            events.append(logged)
        for logged in latest.values():
            builder.add(logged)
    except (ValueError, RecursionError):
        return None
    return LogContent(events, builder)
