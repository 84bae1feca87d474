"""Where files lie that belong to the user and not to a study."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """`$CONSPO_STUDY_CACHE`, else `conspo-study` in `$XDG_CACHE_HOME` or `~/.cache`."""
    if own := os.environ.get("CONSPO_STUDY_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "conspo-study"
