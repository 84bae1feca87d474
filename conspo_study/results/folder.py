"""A results directory: the names of its files, and what the study and its log say."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from conspo_study.records import StudyError
from conspo_study.results.lines import LogDamaged
from conspo_study.results.log import read_log
from conspo_study.results.nearby import no_study_in
from conspo_study.results.table import StudyTable, build_table
from conspo_study.text import size_text

SCHEMA = 1
DEFINITION, SNAPSHOT, LOG, LEASE = "study.json", "snapshot.json", "log.jsonl", "driver.json"
QUARANTINE = "quarantine.jsonl"
"""Rows of problem sets that take no part in the study, and why."""
FAILURE = "failure.txt"
"""In a trial's folder: the whole cause of its failure, and where in the code it happened."""


def make_folder(folder: Path, disk_bytes: int | None) -> None:
    """Create the folder.

    Raises StudyError when it cannot be written, or cannot grow to `disk_bytes`; None is unknown.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        free = shutil.disk_usage(folder).free
        used = _size(folder)
    except OSError as error:
        raise StudyError(
            f"the results directory {folder} cannot be written ({error.strerror}): "
            "choose another with --results"
        ) from error
    if disk_bytes is not None and free < disk_bytes - used:
        raise StudyError(
            f"the study needs about {size_text(disk_bytes - used)} of disk for checkpoints and "
            f"rows, "
            f"and {size_text(free)} are free for {folder}: make room, or choose another disk with "
            "--results"
        )


def _size(folder: Path) -> int:
    """Bytes of all files; others may be removing some."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(place, name).lstat().st_size
    return size


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files whose writers were killed. For the driver only: others may be
    writing theirs."""
    for pattern in (".*.tmp", "trials/*/.*.tmp", "untrained/*/.*.tmp"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def read_definition(folder: Path) -> dict[str, Any]:
    """The contents of study.json. Raises StudyError when it is unreadable or of another schema."""
    path = folder / DEFINITION
    if not path.is_file() and not (folder / LOG).exists():
        raise StudyError(no_study_in(folder))
    try:
        data: dict[str, Any] = json.loads(path.read_bytes())
        if data.get("schema") != SCHEMA:
            raise StudyError(
                f"{path} has schema {data.get('schema')!r}, this version reads {SCHEMA}: use the "
                "version that began the study (its commit is in snapshot.json)"
            )
        missing = [key for key in ("name", "hash", "data", "definition") if key not in data]
        if missing:
            raise ValueError(f"it has no {', '.join(missing)}")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise StudyError(f"{path} cannot be read: {error}; restore it from a copy") from error
    return data


def read_table(folder: Path) -> StudyTable:
    """What the log in `folder` holds; nothing when there is none.

    Raises StudyError when it is damaged, naming the line and the command that repairs it.
    """
    path = folder / LOG
    try:
        return build_table(read_log(path)) if path.exists() else StudyTable()
    except LogDamaged as error:
        raise StudyError(str(error)) from error
    except (ValueError, OSError) as error:
        raise StudyError(f"{path} cannot be read: {error}") from error
