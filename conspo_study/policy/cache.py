"""Cached folders, each built once per machine even if several processes request it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from conspo_study.config.places import cache_root
from conspo_study.files import digest, flush
from conspo_study.untrusted import read_object, regular_digest

MANIFEST = "manifest.json"
"""File with the SHA-256 of every other file; written last, so a folder without it is incomplete."""

_MOST = 1 << 20


def cached_folder(
    name: str, build: Callable[[Path], None], on_notice: Callable[[str], None]
) -> Path:
    """The folder `name` of the cache; `build` fills an empty folder unless an intact one exists.

    Concurrent callers wait for the process that builds. A folder appears under its name complete or
    not at all; a damaged one is reported to `on_notice` and rebuilt. Raises OSError if the cache
    cannot be written.
    """
    root = cache_root()
    folder = root / name
    if damage(folder) is None:
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        # The kernel releases the lock when its process dies, so a crash leaves no stale lock.
        lock = FileLock(root / f"{name}.lock").acquire()
    except OSError as error:
        raise OSError(
            f"the cache {root} cannot be written ({error}): set CONSPO_STUDY_CACHE to a writable "
            "folder"
        ) from error
    with lock:
        problem = damage(folder)
        if problem is None:  # another process built it while this one waited
            return folder
        with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-") as scratch:
            if folder.exists():
                on_notice(f"{folder} is damaged ({problem}): rebuilding it")
                folder.rename(Path(scratch, "damaged"))
            fresh = Path(scratch, "fresh")
            fresh.mkdir()
            build(fresh)
            _seal(fresh)
            fresh.rename(folder)
            flush(root)
    return folder


def damage(folder: Path) -> str | None:
    """A description of damage to a cached folder; None if every file is as it was written."""
    try:
        digests: dict[str, str] = read_object(folder / MANIFEST, _MOST)["files"]
        for name, expected in digests.items():
            if regular_digest(folder / name) != expected:
                return f"{name} has changed"
    except (FileNotFoundError, NotADirectoryError) as error:
        return f"{Path(error.filename).name} is missing"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} cannot be read"
    return None


def _seal(folder: Path) -> None:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    manifest = {"files": {path.name: digest(path) for path in files}}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    for path in (*files, folder / MANIFEST, folder):
        flush(path)
