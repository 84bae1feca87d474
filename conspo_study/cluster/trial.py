"""A trial as a Ray Train job: the training function on every worker, and the driver around it."""

from __future__ import annotations

import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conspo_study.cluster.failures import (
    TrialFailed,
    all_lines,
    comes_again,
    is_of_the_machine,
    lasting_cause,
)
from conspo_study.cluster.outlet import STEP, FunctionOutlet, RayOutlet, incidents_report
from conspo_study.cluster.restarts import Restarts, found_no_room, is_lost_machine, is_short_node
from conspo_study.cluster.trial_spec import TrialSpec
from conspo_study.cluster.worker_processes import end_all, enlist
from conspo_study.config import AnyRun, FunctionConfig, RunConfig
from conspo_study.records import read_bar
from conspo_study.results import names
from conspo_study.results.incidents import Incident, IncidentType, append_incident
from conspo_study.training.bars import Bars

if TYPE_CHECKING:
    from ray.train import UserCallback
    from ray.train.torch import TorchTrainer

STARTS = 10
"""Times that Ray Train tries again to bring up workers, each within the time that
`RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S` sets."""
FAILURE = "failure"
"""Key of a report that carries the cause of a failure instead of metrics."""
DETAILS = "failure_details"
"""Key of such a report for the traceback."""
MACHINE = "failure_of_the_machine"
"""Key of such a report: true if the same trial may succeed on another day or machine."""
_SNAPSHOT = "checkpoint_manager_snapshot.json"


def train_worker(payload: dict[str, Any]) -> None:
    """The function that Ray Train runs on every worker of a trial.

    Raises TrialFailed with the cause when starting again from the checkpoint would only fail again.
    """
    import ray.train

    spec = TrialSpec(**payload)
    rank = ray.train.get_context().get_world_rank()
    bars = Bars(
        spec.metric, spec.direction, {int(step): read_bar(bar) for step, bar in spec.bars.items()}
    )
    try:
        config = spec.enter()
        enlist(spec.run_folder, rank)
        if isinstance(config, FunctionConfig):
            _train_function(spec, config, bars)
        else:
            _train_built_in(spec, config, bars)
    except Exception as error:
        cause = lasting_cause(error)
        failure = error if cause is None else TrialFailed(cause)
        # A traceback reaches the trial's driver as text only.
        failure.add_note(traceback.format_exc())
        if failure is error:
            raise
        raise failure from error


def _train_built_in(spec: TrialSpec, config: RunConfig, bars: Bars) -> None:
    import ray.train

    from conspo_study.policy.models import refuse_another_model
    from conspo_study.training.loop import train
    from conspo_study.training.prepare import prepare_policies
    from conspo_study.update.world import World

    context = ray.train.get_context()
    refuse_another_model(config.policy, _models_at_start(spec))
    train(
        config,
        spec.seeds,
        RayOutlet(spec, config),
        policy_folder=prepare_policies(config.policy, spec.seeds),
        checkpoints=spec.run_folder,
        bars=bars,
        until=spec.until,
        world=World(
            context.get_world_rank(),
            context.get_world_size(),
            sharded=config.train.sharding == "fsdp",
        ),
    )


def _train_function(spec: TrialSpec, config: FunctionConfig, bars: Bars) -> None:
    import ray.train

    from conspo_study.training.function.run import TrialOfFunction, run_function
    from conspo_study.update.world import World

    context = ray.train.get_context()
    run_function(
        TrialOfFunction(
            config=config,
            seeds=spec.seeds,
            trial=spec.trial,
            label=spec.label,
            confirmation=spec.confirms,
            results=spec.folder,
            checkpoints=spec.run_folder,
            plugins=Path(spec.results) / names.PLUGINS,
            required=(spec.metric, *spec.also),
            bars=bars,
            together=spec.races,
        ),
        FunctionOutlet(spec, config),
        World(context.get_world_rank(), context.get_world_size()),
        context.get_local_rank(),
    )


def _models_at_start(spec: TrialSpec) -> dict[str, str]:
    """Content hashes that the study began with; empty for a trial without a study."""
    from conspo_study.results.folder import read_definition
    from conspo_study.results.names import DEFINITION

    folder = Path(spec.results)
    return dict(read_definition(folder)["data"]) if (folder / DEFINITION).exists() else {}


def run_trial(payload: dict[str, Any]) -> None:
    """The driver of one trial, run by Ray Tune: start the workers, wait for them, and start them
    again when they die. While the cluster has no room for them, it waits.

    A failure is reported with its cause rather than raised, since Tune would keep only a trace.
    """
    from ray import tune

    from conspo_study.cluster import report_relay

    spec = TrialSpec(**payload)
    config: AnyRun | None = None
    last_error = ""
    step = -1
    restarts = Restarts()

    def report(metrics: dict[str, Any]) -> None:
        nonlocal step
        step = max(step, metrics[STEP])
        tune.report(metrics)

    while True:
        try:
            end_all(spec.run_folder)
            _set_aside_ray_state(spec)
            config = config or spec.enter()
            report_relay.fit(partial(_trainer, spec, config), report, spec.run_name)
            return
        except Exception as error:
            if found_no_room(error):
                continue
            errors = _worker_errors(error)
            cause = next(filter(None, map(lasting_cause, errors)), None)
            of_the_machine = any(map(is_of_the_machine, errors))
            text = _error_text(errors[0])
            if cause is None and text == last_error and comes_again(errors[0]):
                cause = f"the same error twice: {text}"
            last_error = text
            if cause is None and not restarts.allowed(step, is_lost_machine(errors)):
                cause = f"the workers died {restarts.deaths} times: {text}"
                cause = f"out of memory: {cause}" if any(map(is_short_node, errors)) else cause
                of_the_machine = True
            if cause is not None:
                end_all(spec.run_folder)
                details = "".join(traceback.format_exception(errors[0]))
                failure = {FAILURE: cause, DETAILS: details, MACHINE: of_the_machine}
                tune.report(failure | incidents_report(spec))
                return
            first_line = text.partition("\n")[0]
            append_incident(spec.folder, Incident(IncidentType.WORKER_RESTARTED, first_line))


def _trainer(spec: TrialSpec, config: AnyRun, on_report: UserCallback) -> TorchTrainer:
    from ray import train
    from ray.train.torch import TorchConfig, TorchTrainer

    # A worker's engines run on the worker's own resources, so that they wait for none.
    resources: dict[str, float] = {"CPU": config.cpus_per_worker}
    if config.gpus_per_worker:
        resources["GPU"] = config.gpus_per_worker
    # Counts and metrics are summed as tensors on the CPU, which nccl alone does not carry.
    backend = "cpu:gloo,cuda:nccl" if config.train.gpus_per_worker else "gloo"
    return TorchTrainer(
        train_worker,
        train_loop_config=spec.payload(),
        torch_config=TorchConfig(backend=backend),
        scaling_config=train.ScalingConfig(
            num_workers=config.train.workers,
            use_gpu=bool(config.gpus_per_worker),
            resources_per_worker=resources,
        ),
        run_config=train.RunConfig(
            name=spec.run_name,
            storage_path=str(spec.run_folder.parent),
            callbacks=[on_report],
            # Ray Train would restart workers whatever they died of; `run_trial` looks first.
            # It only repeats a start of workers that fails, a limited number of times.
            failure_config=train.FailureConfig(max_failures=0, controller_failure_limit=STARTS),
        ),
    )


def _set_aside_ray_state(spec: TrialSpec) -> None:
    """Rename Ray Train's record of checkpoints, which it would trust more than the folder.

    These trials leave none, but one from elsewhere that is torn, or names a missing checkpoint,
    would make the run fail at every start.
    """
    record = spec.run_folder / _SNAPSHOT
    if record.exists() or record.is_symlink():
        record.rename(record.with_suffix(".set-aside"))
        append_incident(
            spec.folder, Incident(IncidentType.RAY_STATE_SET_ASIDE, f"{_SNAPSHOT} was set aside")
        )


def _worker_errors(error: BaseException) -> list[BaseException]:
    """The error of each worker that failed; that of the run when it names no worker."""
    failures = (getattr(error, "worker_failures", None) or {}).values()
    # A worker that no longer answers a poll is known by the error of the poll.
    return [getattr(failure, "health_check_failure", failure) for failure in failures] or [error]


def _error_text(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {all_lines(error)}"
