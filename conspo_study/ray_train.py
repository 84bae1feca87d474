"""A trial as a Ray Train job: the training function on every worker, and the driver around it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from conspo_study.config import RunConfig, config_hash, parse_config
from conspo_study.records import EvalRow
from conspo_study.results.rows import (
    append_step_row,
    eval_path,
    read_eval_rows,
    write_eval_rows,
)

WORKER_RESTARTS = 2
"""Times that Ray Train restarts the workers of a trial from their last checkpoint."""
FAILURE = "failure"
"""Key of a report that carries the cause of a failure instead of metrics."""
STEP = "step"
SCORE = "score"
"""Key of a report's mean over seeds of the study's metric, which early stopping looks at."""


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """What a trial's processes need to know; plain data, so that any cluster node can read it."""

    study: str
    trial: str
    config: dict[str, Any]
    seeds: tuple[int, ...]
    metric: str
    anchor: bool
    results: str
    """The study's results directory, reachable under this path from every node."""

    @property
    def folder(self) -> Path:
        """Where the trial's rows and evaluations are written."""
        return Path(self.results) / "trials" / self.trial

    @property
    def stop_file(self) -> Path:
        """Its existence asks the trial to stop at its next report."""
        return self.folder / "stop"


class RayOutlet:
    """Writes rows into the trial's folder and reports through Ray Train."""

    def __init__(self, spec: TrialSpec, config: RunConfig):
        self.spec = spec
        self.steps = config.train.steps
        data = config.model_dump(mode="json")
        # All that the evaluation of the untrained policy depends on, besides the seed.
        self._untrained_hash = config_hash(
            {name: data[name] for name in ("data", "policy", "evaluation")}
        )

    def step_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            append_step_row(self.spec.folder / "steps.jsonl", row)

    def evaluation(self, rows: Sequence[EvalRow]) -> None:
        seed, step = rows[0].seed, rows[0].step
        folders = [self.spec.folder] + ([self._untrained_folder(seed)] if step == 0 else [])
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            write_eval_rows(eval_path(folder, seed, step), rows)

    def untrained(self, seed: int) -> list[EvalRow] | None:
        return read_eval_rows(self._untrained_folder(seed)) or None

    def _untrained_folder(self, seed: int) -> Path:
        return Path(self.spec.results) / "untrained" / f"{self._untrained_hash}-{seed}"

    def stop_requested(self) -> bool:
        return self.spec.stop_file.exists()

    def report(
        self, step: int, latest: Mapping[int, Mapping[str, Any]], checkpoint: Path | None
    ) -> None:
        import ray.train

        scores = [
            metrics[self.spec.metric] for metrics in latest.values() if self.spec.metric in metrics
        ]
        # Tune flattens nested results by "/", which our metric names contain: pass them as text.
        report: dict[str, Any] = {STEP: step, "steps": self.steps, "seeds": json.dumps(latest)}
        if len(scores) == len(latest):
            report[SCORE] = sum(scores) / len(scores)
        ray.train.report(
            report,
            checkpoint=ray.train.Checkpoint.from_directory(checkpoint) if checkpoint else None,
        )


def train_worker(payload: dict[str, Any]) -> None:
    """The function that Ray Train runs on every worker of a trial."""
    import ray.train

    from conspo_study.prepare import prepare_policy
    from conspo_study.train import train
    from conspo_study.update.step import DivergedError
    from conspo_study.update.world import World

    spec = TrialSpec(**payload)
    config = parse_config(spec.config)
    context = ray.train.get_context()
    world = World(context.get_world_rank(), context.get_world_size())
    outlet = RayOutlet(spec, config)
    found = ray.train.get_checkpoint()
    try:
        train(
            config,
            spec.seeds,
            outlet,
            policy_folder=prepare_policy(config.policy),
            world=world,
            resume_from=Path(found.path) if found else None,
        )
    except (DivergedError, FloatingPointError) as error:
        # Restarting from the checkpoint would diverge again: end the trial with its cause.
        ray.train.report({FAILURE: f"diverged: {error}"})


def run_trial(payload: dict[str, Any]) -> None:
    """The driver of one trial, run by Ray Tune: starts the workers and waits for them.

    A failure is reported with its cause rather than raised, since Tune would keep only a trace.
    """
    from ray import tune
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    spec = TrialSpec(**payload)
    settings = parse_config(spec.config).train
    resources: dict[str, float] = {"CPU": settings.cpus_per_worker}
    if settings.gpus_per_worker:
        resources["GPU"] = settings.gpus_per_worker
    trainer = TorchTrainer(
        train_worker,
        train_loop_config=payload,
        scaling_config=ScalingConfig(
            num_workers=settings.workers,
            use_gpu=bool(settings.gpus_per_worker),
            resources_per_worker=resources,
        ),
        run_config=RunConfig(
            # The name is fixed, so that a trial that is started again finds its checkpoints.
            name=f"{spec.study}-{spec.trial}",
            storage_path=str(Path(spec.results) / "ray"),
            callbacks=[TuneReportCallback()],
            failure_config=FailureConfig(max_failures=WORKER_RESTARTS),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        tune.report({FAILURE: _cause(error)})


def payload_of(spec: TrialSpec) -> dict[str, Any]:
    """The spec as the plain dictionary that Ray passes around."""
    return asdict(spec)


def _cause(error: BaseException) -> str:
    """The innermost worker error in one line, without the traceback."""
    failures = getattr(error, "worker_failures", None) or {}
    root: BaseException = next(iter(failures.values()), error)
    while root.__cause__ is not None:
        root = root.__cause__
    lines = [line for line in str(root).strip().splitlines() if line.strip()]
    return f"{type(root).__name__}: {lines[-1] if lines else ''}"[:500]
