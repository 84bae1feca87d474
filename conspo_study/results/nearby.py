"""The studies in a folder, and help for a user who named one without a study."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from conspo_study.results.names import DEFINITION, LOG, studies_in

_SHOWN = 5


def holds_study(folder: Path) -> bool:
    """Whether `folder` is a results directory, if only by its log."""
    return any((folder / name).exists() for name in (DEFINITION, LOG))


def studies_under(root: Path) -> Iterator[Path]:
    """The results directories in `root`, itself among them, at any depth; links are not
    followed."""
    for place, folders, files in os.walk(root):
        if DEFINITION in files or LOG in files:
            folders.clear()
            yield Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def no_study_in(folder: Path) -> str:
    """That `folder` holds no study, why, and which studies lie in it or beside it."""
    why = f"it has no {DEFINITION}" if folder.is_dir() else "there is no such folder"
    inside, beside = _studies(folder), _studies(folder.absolute().parent)
    found = [str(folder / name) for name in inside]
    found += [str(folder.parent / name) for name in beside if not inside]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    hint = f"; studies near it: {', '.join(found[:_SHOWN])}{more}" if found else ""
    return f"{folder} is not a results directory: {why}{hint}"


def _studies(folder: Path) -> list[str]:
    """Names of the folders in `folder` that hold a study, the latest first."""
    try:
        newest_first = sorted(studies_in(folder), key=lambda path: -path.stat().st_mtime)
        return [path.name for path in newest_first]
    except OSError:
        return []
