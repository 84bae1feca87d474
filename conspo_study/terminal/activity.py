"""Present activity of a running trial, from its files: the log has only its reports."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from conspo_study.definition import StudyDefinition
from conspo_study.results.names import STEPS, run_folder, trial_folder, worker_file
from conspo_study.results.reading import MOST_LINES, open_stored
from conspo_study.results.table import TrialRow
from conspo_study.untrusted import parse_json

_TAIL = 1 << 16
"""Bytes at the end of a file of rows that surely hold its last row."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Present activity of a running trial."""

    doing: Literal["starting", "training", "evaluating"]
    step: int
    """Last step that was trained; 0 before the first."""
    seconds: float | None = None
    """Seconds since an evaluation began; None otherwise."""


Doing = Callable[[TrialRow], Activity]


def as_reported(row: TrialRow) -> Activity:
    """The activity as far as the log alone tells it."""
    return Activity("starting" if row.steps is None else "training", row.step)


class Activities:
    """Looks into the folders of a study's trials, a few small reads at a time."""

    def __init__(self, folder: Path, study: StudyDefinition):
        self._folder, self._study = folder, study

    def __call__(self, row: TrialRow) -> Activity:
        """The trial's activity, from the log where its files cannot be read."""
        try:
            return self._look(row)
        except (OSError, ValueError, KeyError, TypeError):
            return as_reported(row)

    def _look(self, row: TrialRow) -> Activity:
        worker = worker_file(run_folder(self._folder, self._study.name, row.id), 0)
        if not worker.exists():
            # The trial's driver removes what earlier workers left, before it starts others.
            return Activity("starting", row.step)
        rows = trial_folder(self._folder, row.id) / STEPS
        trained = max(_last_step(rows), row.step)
        if self._study.function is not None:
            return Activity("training", trained)
        steps = row.steps or self._study.base.train.steps
        due = trained % self._study.built_in.evaluation.every == 0 or trained == steps
        reported = row.steps is not None and row.step >= trained
        if not due or reported:
            return Activity("training", trained)
        # Rows may be of workers before this one.
        since = max(path.stat().st_mtime for path in (rows, worker) if path.exists())
        return Activity("evaluating", trained, max(0.0, time.time() - since))


def _last_step(path: Path) -> int:
    """Step of the last complete row; 0 without one."""
    try:
        with open_stored(path, MOST_LINES) as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            lines = [line for line in file.read(_TAIL).split(b"\n")[:-1] if line.strip()]
    except FileNotFoundError:
        return 0
    return int(parse_json(lines[-1])["step"]) if lines else 0
