"""The verdict of a study's report, kept beside it for those that show it and compute no statistics:
status and page."""

from __future__ import annotations

from pathlib import Path

from conspo_study.files import write_json_atomic
from conspo_study.results.names import VERDICT
from conspo_study.untrusted import read_object

_MOST_BYTES = 1 << 16
_LONGEST = 2000


def keep_verdict(folder: Path, verdict: str, events: int) -> None:
    """Write the verdict of a study whose log has so many events. Raises OSError."""
    write_json_atomic(folder / VERDICT, {"verdict": verdict, "events": events})


def kept_verdict(folder: Path, events: int) -> str:
    """The verdict that was kept; empty where there is none, or the log has other events since."""
    try:
        kept = read_object(folder / VERDICT, _MOST_BYTES)
    except (OSError, ValueError):
        return ""
    verdict = kept.get("verdict")
    if not isinstance(verdict, str) or kept.get("events") != events:
        return ""
    return verdict[:_LONGEST]
