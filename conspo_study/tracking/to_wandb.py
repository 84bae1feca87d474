"""Writes to Weights & Biases: a project per study, a group per trial, a run per seed.

`WANDB_MODE=offline` keeps everything in the study's results directory, for a later `wandb sync`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb

from conspo_study.records import TrialState
from conspo_study.tracking.runs import Ending, Point, Run

INIT_S = 60.0
"""Longest wait for the server to accept a run."""


class WandB:
    """Runs in W&B's folder `wandb` inside `folder`, and on its server if online.

    Server, account and project are configured as usual: `wandb login`, `WANDB_ENTITY`,
    `WANDB_PROJECT`.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def holds(self, run: Run) -> bool:
        return any(self._local(run))

    def begin(self, run: Run) -> _Open:
        project = os.environ.get("WANDB_PROJECT") or run.study
        if os.environ.get("WANDB_MODE") == "offline":
            # `wandb sync` would send both of two folders with the same run.
            for path in self._local(run):
                shutil.rmtree(path)
        opened = wandb.init(
            dir=str(self._folder),
            project=project,
            id=_id(run),
            name=run.name,
            group=run.group,
            job_type=run.role.value,
            tags=list(run.tags),
            config={
                **run.config,
                **{"trial": run.trial, "seed": run.seed, "label": run.label, "of": run.of},
            },
            # The run continues after the last step that the server has.
            resume="allow",
            # Several runs are open at once.
            reinit="create_new",
            settings=wandb.Settings(
                init_timeout=INIT_S,
                console="off",
                silent=True,
                disable_code=True,
                disable_git=True,
                # This process does not train: its statistics would mislead.
                x_disable_stats=True,
                x_disable_machine_info=True,
            ),
        )
        opened.define_metric(run.metric, summary="last")
        return _Open(opened, run.metric)

    def _local(self, run: Run) -> list[Path]:
        place = self._folder / "wandb"
        return [path for path in place.glob(f"*run-*-{_id(run)}") if path.is_dir()]


class _Open:
    def __init__(self, run: Any, metric: str):
        self._run, self._metric = run, metric
        # The step of a run is its next one; 0 for a new run.
        self.last = int(run.step) - 1

    def log(self, points: Sequence[Point]) -> None:
        for point in points:
            self._run.log(dict(point.metrics), step=point.step)
            self.last = point.step

    def close(self, ending: Ending | None) -> None:
        if ending is None:
            self._run.summary["state"] = "open"
            self._run.finish()
            return
        self._run.summary.update(
            {
                "state": ending.state.value,
                "outcome": ending.sentence,
                "value": ending.value,
                "wall_s": ending.wall_s,
                "incidents": ending.incidents,
            }
        )
        self._run.finish(exit_code=1 if ending.state is TrialState.FAILED else 0)


def _id(run: Run) -> str:
    """An id that is stable for a run and differs between studies: two of the same name may share a
    project."""
    settings = repr((sorted(run.params.items()), sorted(run.config.items())))
    digest = hashlib.sha256(f"{run.study} {run.name} {settings}".encode()).hexdigest()
    return f"{run.trial}-{run.seed}-{digest[:10]}"
