"""Locations that belong to the user, not to a study: the cache, and the Ray cluster."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """`$CONSPO_STUDY_CACHE`, or else `conspo-study` in `$XDG_CACHE_HOME` or `~/.cache`.

    Raises OSError if that needs a home directory and there is none.
    """
    chosen = os.environ.get("CONSPO_STUDY_CACHE")
    base = chosen or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(base).expanduser()
    except RuntimeError:
        raise OSError(
            f"the cache {base} cannot be located without a home directory: set HOME, or set "
            "CONSPO_STUDY_CACHE to a writable folder"
        ) from None
    return folder if chosen else folder / "conspo-study"


def named_cluster() -> str | None:
    """The cluster named by RAY_ADDRESS; None if that is unset or `local`, for a new local Ray."""
    address = os.environ.get("RAY_ADDRESS")
    return None if address in (None, "", "local") else address
