"""A results directory: room for it, what its writers left behind, and what it holds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from conspo_study.records import StudyError
from conspo_study.results.content import LogContent, read_content
from conspo_study.results.glance import glance_at
from conspo_study.results.lines import LogDamaged
from conspo_study.results.names import DEFINITION, LOG, TRACKING, leftovers
from conspo_study.results.stored import read_study
from conspo_study.results.table import StudyTable
from conspo_study.text import printable, reason, size_text
from conspo_study.untrusted import kind_of


def refuse_links(folder: Path) -> None:
    """Raises StudyError naming the first link, pipe or device in a results directory, by which
    what is written could land elsewhere. For every command that writes there, before it does.

    The directory itself may be a link, and trackers may keep links within their own folder.
    """
    waiting = [folder] if folder.is_dir() else []
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    elif not entry.is_file(follow_symlinks=False):
                        _refuse(Path(entry.path), folder)
        except FileNotFoundError:
            continue  # another process has removed it
        except OSError as error:
            raise StudyError(f"{printable(str(place))} cannot be read: {error.strerror}") from error


def _refuse(path: Path, folder: Path) -> None:
    what = kind_of(path.lstat().st_mode)
    if path.is_symlink():
        own = os.path.realpath(folder / TRACKING)
        if all(Path(os.path.realpath(end)).is_relative_to(own) for end in (path.parent, path)):
            return
        what = f"it is a link to {printable(str(path.readlink()))}"
    raise StudyError(
        f"{printable(str(path))}: {what}. Nothing is written into a results directory that holds "
        "such, since it could land elsewhere: put a copy of what it names in its place, or remove "
        "it"
    )


def make_folder(folder: Path, disk_bytes: int | None) -> None:
    """Create the folder.

    Raises StudyError when it cannot be written, or cannot grow to `disk_bytes`; None is unknown.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise StudyError(
            f"the results directory {folder} cannot be written ({error.strerror}): "
            "choose another with --results"
        ) from error
    if problem := disk_problem(folder, disk_bytes):
        raise StudyError(problem)


def disk_problem(folder: Path, disk_bytes: int | None) -> str | None:
    """Why a results directory, which need not exist yet, cannot grow to `disk_bytes`; None if it
    can, or if they are unknown."""
    if disk_bytes is None:
        return None
    folder = folder.absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free >= disk_bytes:
        return None
    # What a study has written already counts; another folder's files are none of its own.
    more = disk_bytes - (_size(folder) if (folder / DEFINITION).exists() else 0)
    if free >= more:
        return None
    return (
        f"the study needs about {size_text(more)} of disk for checkpoints and rows, and "
        f"{size_text(free)} are free for {folder}: make room, choose another disk with --results, "
        "or fewer trials or seeds"
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
    for path in leftovers(folder):
        path.unlink(missing_ok=True)


def read_definition(folder: Path) -> Mapping[str, Any]:
    """The contents of study.json. Raises StudyError when they are of no use, or not complete."""
    stored = read_study(folder)
    if stored.problem:
        raise StudyError(stored.problem)
    missing = [name for name in ("name", "hash", "data") if name not in stored.fields]
    if missing:
        raise StudyError(
            f"{folder / DEFINITION} has no {', '.join(missing)}; restore it from a copy"
        )
    return stored.fields


def read_events(folder: Path) -> LogContent:
    """The log in `folder`, with its table; nothing when there is none.

    Raises StudyError when it is damaged, naming the line and the command that repairs it.
    """
    return _read(folder, read_content)


def _read(folder: Path, read: Callable[[Path], LogContent]) -> LogContent:
    path = folder / LOG
    try:
        return read(path)
    except LogDamaged as error:
        raise StudyError(str(error)) from error
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {reason(error)}") from error


def events_to_show(folder: Path) -> LogContent:
    """As `read_events`, in a fraction of the time, for those who show a study; see `glance_at`."""
    return _read(folder, glance_at)


def read_table(folder: Path) -> StudyTable:
    """The table of `events_to_show`. Raises StudyError as there."""
    return events_to_show(folder).builder.table
