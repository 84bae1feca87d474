"""Writes to trackio's local database: a project per study, a group per trial, a run per seed."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context
from typing import Any

import trackio

from conspo_study.records import TrialState
from conspo_study.records.nested import flattened
from conspo_study.tracking.runs import Ending, Point, Run


class Trackio:
    """Runs in the database in `TRACKIO_DIR`, for `trackio show`."""

    def holds(self, run: Run) -> bool:
        return bool(_stored(run))

    def begin(self, run: Run) -> _Open:
        for stored in _stored(run):
            stored.delete()
        arguments = {
            "project": run.study,
            "name": run.name,
            "group": run.group,
            "config": {
                **{"trial": run.trial, "seed": run.seed, "role": run.role.value},
                **{"label": run.label, "confirms": run.of, **flattened(run.config)},
            },
            "embed": False,
            "auto_log_gpu": False,
            "auto_log_cpu": False,
        }
        # In a context of its own, or trackio would end the run that was opened before.
        return _Open(Context().run(trackio.init, **arguments))


class _Open:
    def __init__(self, run: Any):
        self.last = -1
        self._run = run

    def log(self, points: Sequence[Point]) -> None:
        for point in points:
            self._run.log(dict(point.metrics), step=point.step)
            self.last = point.step

    def close(self, ending: Ending | None) -> None:
        if ending is not None and ending.state is TrialState.FAILED:
            error = trackio.AlertLevel.ERROR
            self._run.alert("failed", ending.sentence, level=error, step=ending.step)
        self._run.finish()


def _stored(run: Run) -> list[Any]:
    try:
        return [stored for stored in trackio.Api().runs(run.study) if stored.name == run.name]
    except ValueError:  # no such project yet
        return []
