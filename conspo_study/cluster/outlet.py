"""The results of a trial on their way out: rows into its folder, reports to Ray Train."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from conspo_study.cluster.trial_spec import TrialSpec
from conspo_study.config import FunctionConfig, RewardConfig, RunConfig, config_hash
from conspo_study.files import make_folders
from conspo_study.records import Collapse, CreditRow, EvalRow, ProblemRow, RolloutRow
from conspo_study.results import names
from conspo_study.results.incidents import Incident, append_incident, read_incidents, set_totals
from conspo_study.results.kept import rollouts_path, write_rollouts
from conspo_study.results.problems import problems_path, write_problems
from conspo_study.results.rows import (
    append_credits,
    append_step_row,
    eval_path,
    read_eval_rows,
    read_steps,
    write_eval_rows,
)

STEP = "step"
"""Key of a report for the training step."""
COLLAPSED = "collapsed"
"""Key of a report for the seeds that have collapsed: JSON text of an object from the seed to the
fields of its `Collapse`; absent while there are none."""
INCIDENTS = "incidents"
"""Key of a report for the failures that the trial recovered from over its whole life so far: JSON
text of a list of objects with `type`, `count` and `detail`; absent while there are none."""


class RayOutlet:
    """Writes rows into the trial's folder and reports through Ray Train; see `loop.Outlet`."""

    def __init__(self, spec: TrialSpec, config: RunConfig):
        self.spec = spec
        self.steps = config.train.steps
        stores = len(spec.seeds) * max(1, config.rollout_stores)
        self._rollout_bytes = int(config.train.store_rollouts_mb * 1e6 / stores)
        data = config.model_dump(mode="json")
        # The evaluation of the untrained policy depends on these and on the seed.
        decisive = {name: data[name] for name in ("data", "policy", "evaluation")}
        decisive["evaluation"].pop("final_problems", None)  # of the last step alone
        reward = {
            name: data["reward"][name] for name in RewardConfig.LATER if name in data["reward"]
        }
        if reward and not config.evaluation.reward:
            decisive["reward"] = reward
        if config.rollout.engine != "transformers":
            decisive["rollout"] = {
                "engine": config.rollout.engine,
                "vllm_dtype": config.sampling_dtype,
            }
        self._untrained_hash = config_hash(decisive)

    def step_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            append_step_row(self.spec.folder / names.STEPS, row)

    def credits(self, seed: int, step: int, rows: Sequence[CreditRow]) -> None:
        append_credits(self.spec.folder / names.CREDITS, seed, step, rows)

    def rollouts(self, seed: int, step: int, rows: Sequence[RolloutRow]) -> None:
        write_rollouts(rollouts_path(self.spec.folder, seed, step), rows, self._rollout_bytes)

    def problems(self, rows: Sequence[ProblemRow]) -> None:
        make_folders(self.spec.folder, names.INNER)
        write_problems(problems_path(self.spec.folder), rows)

    def evaluation(self, rows: Sequence[EvalRow]) -> None:
        seed, step = rows[0].seed, rows[0].step
        folders = [self.spec.folder] + ([self._untrained_folder(seed)] if step == 0 else [])
        for folder in folders:
            make_folders(folder, names.INNER)
            write_eval_rows(eval_path(folder, seed, step), rows)

    def untrained(self, seed: int) -> list[EvalRow] | None:
        return read_eval_rows(self._untrained_folder(seed)) or None

    def _untrained_folder(self, seed: int) -> Path:
        return names.untrained_folder(Path(self.spec.results), f"{self._untrained_hash}-{seed}")

    def incident(self, incident: Incident) -> None:
        append_incident(self.spec.folder, incident)

    def totals(self, totals: Sequence[Incident]) -> None:
        set_totals(self.spec.folder, totals)

    def report(
        self,
        step: int,
        latest: Mapping[int, Mapping[str, Any]],
        collapsed: Mapping[int, Collapse],
    ) -> None:
        ends = {seed: asdict(collapse) for seed, collapse in collapsed.items()}
        extra = {COLLAPSED: json.dumps(ends)} if ends else {}
        _report(self.spec, step, self.steps, latest, extra)


class FunctionOutlet:
    """The same for a trial of a training function; see `training.function.run.Outlet`."""

    def __init__(self, spec: TrialSpec, config: FunctionConfig):
        self.spec, self.steps = spec, config.train.steps

    def step_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            append_step_row(self.spec.folder / names.STEPS, row)

    def recorded(self) -> list[dict[str, Any]]:
        return read_steps(self.spec.folder / names.STEPS)

    def report(self, step: int, latest: Mapping[int, Mapping[str, Any]]) -> None:
        _report(self.spec, step, self.steps, latest)


def _report(
    spec: TrialSpec,
    step: int,
    steps: int,
    latest: Mapping[int, Mapping[str, Any]],
    extra: Mapping[str, str] = MappingProxyType({}),
) -> None:
    import ray.train

    # Tune flattens nested results by "/", which our metric names contain: pass them as text.
    report: dict[str, Any] = {STEP: step, "steps": steps, "seeds": json.dumps(latest)}
    # Without a checkpoint: Ray Train copies those file by file, may drop the newest when a
    # worker dies, and its list of them can be torn or name one that is gone.
    ray.train.report({**report, **extra, **incidents_report(spec)})


def incidents_report(spec: TrialSpec) -> dict[str, str]:
    """The part of a report that lists recovered failures."""
    rows = read_incidents(spec.folder)
    return {INCIDENTS: json.dumps(rows)} if rows else {}
