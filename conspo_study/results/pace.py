"""Remaining time of a trial, from the times of its reports."""

from __future__ import annotations

from conspo_study.results.table import TrialRow

Report = tuple[float, int]
"""Seconds on the driver's clock, and the step that was reported."""


def seconds_left(row: TrialRow, first: Report, last: Report) -> float | None:
    """Until the trial ends, at the pace from the first to the last report since it was last
    started. The driver's clock may jump: then there is no answer, as there is none without steps
    between them."""
    if row.steps is None:
        return None
    seconds, steps = last[0] - first[0], last[1] - first[1]
    if seconds <= 0 or steps <= 0:
        return None
    return seconds / steps * (row.steps - row.step)
