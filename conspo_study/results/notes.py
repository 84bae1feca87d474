"""Notes and tags that people give to a study and its trials, in a file beside the log.

A line is appended for each; nothing else of the study changes. A note is withdrawn by a later
line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conspo_study.files import open_to_append, write_all
from conspo_study.results.names import NOTES
from conspo_study.results.reading import stored_bytes
from conspo_study.untrusted import parse_json

LONGEST_TEXT, LONGEST_TAG, MOST_TAGS = 4000, 40, 12
"""Characters of a note and of a tag; tags of a note."""
LONGEST_TRIAL = 64
"""Characters of a trial's id."""
MOST_NOTES = 2000
"""Notes that are kept in one study."""


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote. Untrusted text."""

    number: int
    """The line of the file, from 1."""
    time: str
    """When it was written, ISO 8601 in UTC."""
    trial: str
    """Id of the trial that it is about; empty for the study."""
    text: str
    tags: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain data, for the page."""
        return asdict(self)


def read_notes(folder: Path) -> list[Note]:
    """The notes that were not withdrawn, in the order of writing; lines that are none are skipped.

    Raises OSError when the file is there and cannot be read.
    """
    try:
        lines = stored_bytes(folder / NOTES).splitlines()
    except FileNotFoundError:
        return []
    found: dict[int, Note] = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line)
            if "withdraws" in row:
                found.pop(row["withdraws"], None)
            else:
                moment = str(row.get("time", ""))[:LONGEST_TAG]
                found[number] = Note(number, moment, *_checked(row))
        except (ValueError, TypeError, AttributeError):
            continue
    return list(found.values())[:MOST_NOTES]


def add_note(folder: Path, given: Mapping[str, Any]) -> None:
    """Append a note, `given` as `trial` (optional), `text` and `tags` (a list), or withdraw one, as
    `withdraws` (its number).

    Raises ValueError saying what is wrong with it, OSError when it cannot be written.
    """
    notes = read_notes(folder)
    if "withdraws" in given:
        if given["withdraws"] not in [note.number for note in notes]:
            raise ValueError(f"there is no note {str(given['withdraws'])[:20]}")
        row: dict[str, Any] = {"withdraws": given["withdraws"]}
    else:
        trial, text, tags = _checked(given)
        if len(notes) >= MOST_NOTES:
            raise ValueError(f"the study has {MOST_NOTES} notes, which is the most that it takes")
        row = {"trial": trial, "text": text, "tags": list(tags)}
    moment = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    handle = open_to_append(folder / NOTES)
    try:
        # A line that was cut short by a power cut is ended first.
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        line = json.dumps({"time": moment, **row}, allow_nan=False).encode()
        write_all(handle, b"\n" * torn + line + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)


def _checked(given: Mapping[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    """Trial, text and tags. Raises ValueError."""
    trial, text, tags = given.get("trial", ""), given.get("text", ""), given.get("tags", [])
    strings = isinstance(trial, str) and isinstance(text, str) and isinstance(tags, list)
    if not strings or not all(isinstance(tag, str) for tag in tags):
        raise ValueError("a note has a text and a list of tags")
    if len(trial) > LONGEST_TRIAL:
        raise ValueError(f"a trial's id has at most {LONGEST_TRIAL} characters")
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"a note has at most {LONGEST_TEXT} characters, this one {len(text)}")
    kept = tuple(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
    if len(kept) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in kept):
        raise ValueError(f"a note has at most {MOST_TAGS} tags of {LONGEST_TAG} characters")
    if not text.strip() and not kept:
        raise ValueError("a note has a text or a tag")
    return trial, text.strip(), kept
