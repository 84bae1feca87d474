"""A trial as a Ray Train job: the training function on every worker, and the driver around it."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from conspo_study.cluster.failures import TrialFailed, all_lines, comes_again, lasting_cause
from conspo_study.cluster.worker_processes import end_all, enlist
from conspo_study.config import RewardConfig, RunConfig, config_hash, parse_config
from conspo_study.plugins import SHIPPED, load_module, search_in
from conspo_study.records import CreditRow, EvalRow, RolloutRow
from conspo_study.results.incidents import (
    Incident,
    IncidentType,
    append_incident,
    read_incidents,
    set_totals,
)
from conspo_study.results.kept import rollouts_path, write_rollouts
from conspo_study.results.rows import (
    append_credits,
    append_step_row,
    eval_path,
    read_eval_rows,
    write_eval_rows,
)
from conspo_study.text import title
from conspo_study.training.bars import Bars

WORKER_RESTARTS = 2
"""Times that a trial's workers are started again from their last checkpoint."""
STARTS = 10
"""Times that Ray Train tries again to bring up workers, each within the time that
`RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S` sets."""
FAILURE = "failure"
"""Key of a report that carries the cause of a failure instead of metrics."""
DETAILS = "failure_details"
"""Key of such a report for where in the code it happened."""
INCIDENTS = "incidents"
"""Key of a report for the failures that the trial absorbed over its whole life so far, as JSON text
of a list of objects with `type`, `count` and `detail`; absent while there are none."""
STEP = "step"
_SNAPSHOT = "checkpoint_manager_snapshot.json"


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """What a trial's processes need to know; plain data, so that any cluster node can read it."""

    study: str
    trial: str
    config: dict[str, Any]
    seeds: tuple[int, ...]
    metric: str
    direction: str
    """Whether more of the metric is better (`max`) or less (`min`)."""
    bars: dict[str, float]
    """Step, as text, to what the mean over seeds of the metric must not miss there."""
    results: str
    """The study's results directory, reachable under this path from every node."""
    settings: str = ""
    """What distinguishes the trial, as people read it; for display only."""
    started_in: str = ""
    """The folder that relative paths of the configuration begin at; empty: where the process is."""
    imports: tuple[str, ...] = ()
    """Modules to import before the configuration can be read."""

    @property
    def folder(self) -> Path:
        """Where the trial's rows and evaluations are written."""
        return Path(self.results) / "trials" / self.trial

    @property
    def run_name(self) -> str:
        """Name of the Ray Train run; fixed, so that a trial that is started again finds its
        folder."""
        return f"{self.study}-{self.trial}"

    def parsed(self) -> RunConfig:
        """The configuration, in a process that works where the study was started and imports own
        code from the copy in the results directory."""
        if self.started_in and Path(self.started_in).is_dir():
            os.chdir(self.started_in)
        search_in(str(Path(self.results) / SHIPPED))
        for name in self.imports:
            load_module(name)
        return parse_config(self.config)

    @property
    def title(self) -> str:
        """The trial in one line of Ray's own pages: study, id and settings."""
        return title(self.study, self.trial, self.settings)

    @property
    def run_folder(self) -> Path:
        """Where the trial's checkpoints lie."""
        return Path(self.results) / "ray" / self.run_name


class RayOutlet:
    """Writes rows into the trial's folder and reports through Ray Train."""

    def __init__(self, spec: TrialSpec, config: RunConfig):
        self.spec = spec
        self.steps = config.train.steps
        stores = len(spec.seeds) * max(1, config.rollout_stores)
        self._rollout_bytes = int(config.train.store_rollouts_mb * 1e6 / stores)
        data = config.model_dump(mode="json")
        # All that the evaluation of the untrained policy depends on, besides the seed.
        decisive = {name: data[name] for name in ("data", "policy", "evaluation")}
        own = {name: data["reward"][name] for name in RewardConfig.LATER if name in data["reward"]}
        if own and not config.evaluation.reward:
            decisive["reward"] = own
        if config.rollout.engine != "transformers":
            decisive["rollout"] = {name: data["rollout"][name] for name in ("engine", "vllm_dtype")}
        self._untrained_hash = config_hash(decisive)

    def step_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            append_step_row(self.spec.folder / "steps.jsonl", row)

    def credits(self, seed: int, step: int, rows: Sequence[CreditRow]) -> None:
        append_credits(self.spec.folder / "credits.jsonl", seed, step, rows)

    def rollouts(self, seed: int, step: int, rows: Sequence[RolloutRow]) -> None:
        write_rollouts(rollouts_path(self.spec.folder, seed, step), rows, self._rollout_bytes)

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

    def incident(self, incident: Incident) -> None:
        append_incident(self.spec.folder, incident)

    def totals(self, totals: Sequence[Incident]) -> None:
        set_totals(self.spec.folder, totals)

    def report(self, step: int, latest: Mapping[int, Mapping[str, Any]]) -> None:
        import ray.train

        # Tune flattens nested results by "/", which our metric names contain: pass them as text.
        report: dict[str, Any] = {STEP: step, "steps": self.steps, "seeds": json.dumps(latest)}
        report |= _incidents(self.spec)
        # Checkpoints stay ours: Ray Train's are copied file by file, the newest may be dropped when
        # a worker dies, and its list of them can be torn or name one that is gone.
        ray.train.report(report)


def train_worker(payload: dict[str, Any]) -> None:
    """The function that Ray Train runs on every worker of a trial.

    Raises TrialFailed with the cause when starting again from the checkpoint would only fail again.
    """
    import ray.train

    from conspo_study.policy.models import refuse_another_model
    from conspo_study.training.loop import train
    from conspo_study.training.prepare import prepare_policy
    from conspo_study.update.world import World

    spec = TrialSpec(**payload)
    context = ray.train.get_context()
    bars = {int(step): bar for step, bar in spec.bars.items()}
    try:
        config = spec.parsed()
        enlist(spec.run_folder, context.get_world_rank())
        refuse_another_model(config.policy, _models_at_start(spec))
        train(
            config,
            spec.seeds,
            RayOutlet(spec, config),
            policy_folder=prepare_policy(config.policy),
            checkpoints=spec.run_folder,
            bars=Bars(spec.metric, spec.direction, bars),
            world=World(
                context.get_world_rank(),
                context.get_world_size(),
                sharded=config.train.sharding == "fsdp",
            ),
        )
    except Exception as error:
        cause = lasting_cause(error)
        told = error if cause is None else TrialFailed(cause)
        # Of a traceback nothing but what is written down reaches the trial's driver.
        told.add_note(traceback.format_exc())
        if told is error:
            raise
        raise told from error


def _models_at_start(spec: TrialSpec) -> dict[str, str]:
    """Content hashes that the study began with; empty for a trial without a study."""
    from conspo_study.results.folder import DEFINITION, read_definition

    folder = Path(spec.results)
    return dict(read_definition(folder)["data"]) if (folder / DEFINITION).exists() else {}


def run_trial(payload: dict[str, Any]) -> None:
    """The driver of one trial, run by Ray Tune: starts the workers, waits for them, and starts them
    again when they die.

    A failure is reported with its cause rather than raised, since Tune would keep only a trace.
    """
    from ray import tune

    from conspo_study.cluster import report_relay

    spec = TrialSpec(**payload)
    before = ""
    for died in range(1, WORKER_RESTARTS + 2):
        try:
            end_all(spec.run_folder)
            _set_aside_ray_state(spec)
            report_relay.fit(partial(_trainer, payload), tune.report, spec.run_name)
            return
        except Exception as error:
            errors = _worker_errors(error)
            cause = next(filter(None, map(lasting_cause, errors)), None)
            what = _what_happened(errors[0])
            if cause is None and what == before and comes_again(errors[0]):
                cause = f"the same error twice: {what}"
            before = what
            if cause is None and died > WORKER_RESTARTS:
                cause = f"the workers died {died} times: {what}"
                cause = f"out of memory: {cause}" if _is_out_of_memory(errors) else cause
            if cause is not None:
                details = "".join(traceback.format_exception(errors[0]))
                tune.report({FAILURE: cause, DETAILS: details, **_incidents(spec)})
                return
            short = what.partition("\n")[0]
            append_incident(spec.folder, Incident(IncidentType.WORKER_RESTARTED, short))


def payload_of(spec: TrialSpec) -> dict[str, Any]:
    """The spec as the plain dictionary that Ray passes around."""
    return asdict(spec)


def _trainer(payload: dict[str, Any], on_report: Any) -> Any:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    spec = TrialSpec(**payload)
    config = spec.parsed()
    # A worker's engines run on what the worker has been given, so that they wait for nothing.
    resources: dict[str, float] = {"CPU": config.cpus_per_worker}
    if config.gpus_per_worker:
        resources["GPU"] = config.gpus_per_worker
    # Counts and metrics are summed as tensors on the CPU, which nccl alone does not carry.
    backend = "cpu:gloo,cuda:nccl" if config.train.gpus_per_worker else "gloo"
    return TorchTrainer(
        train_worker,
        train_loop_config=payload,
        torch_config=TorchConfig(backend=backend),
        scaling_config=ScalingConfig(
            num_workers=config.train.workers,
            use_gpu=bool(config.gpus_per_worker),
            resources_per_worker=resources,
        ),
        run_config=RunConfig(
            name=spec.run_name,
            storage_path=str(spec.run_folder.parent),
            callbacks=[on_report],
            # Ray Train would restart workers whatever they died of; `run_trial` looks first.
            # Workers that die before they begin are its own affair, but not for ever.
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=STARTS),
        ),
    )


def _incidents(spec: TrialSpec) -> dict[str, str]:
    rows = read_incidents(spec.folder)
    return {INCIDENTS: json.dumps(rows)} if rows else {}


def _set_aside_ray_state(spec: TrialSpec) -> None:
    """Rename Ray Train's record of checkpoints, which it would trust more than the folder.

    These trials leave none, but one from elsewhere that is torn, or names a checkpoint that is
    gone, would make the run fail whenever it is started.
    """
    record = spec.run_folder / _SNAPSHOT
    if record.exists() or record.is_symlink():
        record.rename(record.with_suffix(".set-aside"))
        append_incident(
            spec.folder, Incident(IncidentType.RAY_STATE_SET_ASIDE, f"{_SNAPSHOT} was set aside")
        )


def _worker_errors(error: BaseException) -> list[BaseException]:
    """What ended each of the workers that did not end well, or else the run."""
    errors = (getattr(error, "worker_failures", None) or {}).values()
    # A worker that answers a poll no more is known by the error of the poll.
    return [getattr(one, "health_check_failure", one) for one in errors] or [error]


def _what_happened(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {all_lines(error)}"


def _is_out_of_memory(errors: Iterable[BaseException]) -> bool:
    """Whether Ray ended a worker because its node ran out of memory."""
    from ray.exceptions import OutOfMemoryError

    return any(isinstance(error, OutOfMemoryError) for error in errors)
