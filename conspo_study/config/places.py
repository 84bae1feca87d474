"""Where files lie that belong to the user and not to a study."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """`$CONSPO_STUDY_CACHE`, else `conspo-study` in `$XDG_CACHE_HOME` or `~/.cache`.

    Raises OSError where that is in a home directory and there is none.
    """
    own = os.environ.get("CONSPO_STUDY_CACHE")
    base = own or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(base).expanduser()
    except RuntimeError:
        raise OSError(
            f"the cache {base} cannot be found, for want of a home directory: set HOME, or "
            "CONSPO_STUDY_CACHE to a folder that can be written"
        ) from None
    return folder if own else folder / "conspo-study"


def named_cluster() -> str | None:
    """The cluster that RAY_ADDRESS names; None for a Ray of our own, as without it or `local`."""
    address = os.environ.get("RAY_ADDRESS")
    return None if address in (None, "", "local") else address
