"""Help for a user who named a folder without a study: the studies near it."""

from __future__ import annotations

from pathlib import Path

from conspo_study.results.names import DEFINITION, studies_in

_SHOWN = 5


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
