"""Bringing up what a study needs: policy and Ray side by side, then the trials."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from conspo_study.console import Console, Preparation
from conspo_study.definition import StudyDefinition, StudyError
from conspo_study.plan import make_plan
from conspo_study.prepare import prepare_policy
from conspo_study.results.log import ResultsLog
from conspo_study.search import Search

RAY_SETTINGS = {
    # Poll workers often: a trial of the embedded model lives for seconds, not hours.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # One actor per trial less; preemptible nodes are a matter of the cluster's own settings.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # Our log and rows are the record: no CSV, JSON and TensorBoard copies by Tune.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    # Tune's own snapshots are never read.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    # A report of a failure carries its cause and no metric.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
WORKER_START_S = 120.0
"""Longest wait for the first worker process of a new local Ray."""


def launch(study: StudyDefinition, folder: Path, log: ResultsLog, console: Console) -> bool:
    """Run the study's open trials; returns whether all of them ended (False: interrupted).

    Raises StudyError when the cluster cannot place a trial.
    """
    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"ray\..*")
    with ExitStack() as stack:
        with console.preparing() as shown, _in_background(study, shown) as policy:
            with shown.task("starting Ray"):
                resources = stack.enter_context(_ray())
                from conspo_study.ray_tune import run_search
            with shown.task(f"policy {study.base.policy.model}"):
                policy.result()
        plan = make_plan(study, int(resources.get("CPU", 0)), int(resources.get("GPU", 0)))
        if plan.problems:
            raise StudyError("\n".join(plan.problems))
        search = Search(study, log)
        with console.live(study, log, plan.concurrent):
            run_search(search, study, folder, plan.concurrent)
        return search.complete


@contextmanager
def _in_background(study: StudyDefinition, shown: Preparation) -> Iterator[Future[Path]]:
    """The policy in preparation on one core while Ray starts on the others."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        try:
            yield pool.submit(prepare_policy, study.base.policy, shown.warm_start)
        except BaseException:
            shown.cancelled.set()  # leaving the pool waits for it
            raise


@contextmanager
def _ray() -> Iterator[dict[str, float]]:
    """Connect to the cluster of `RAY_ADDRESS`, or start one on this machine for the length of the
    block. Yields its resources."""
    import ray

    from conspo_study.spawner import fork_server

    options = {"log_to_driver": False, "logging_level": logging.ERROR}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**options)
        try:
            yield ray.cluster_resources()
        finally:
            ray.shutdown()
        return
    with fork_server() as server:
        try:
            ray.init(
                # Without its dashboard Ray Train cannot tell which placement groups to remove.
                include_dashboard=True,
                runtime_env={"py_executable": server.py_executable},
                **options,
            )
            environment = ray.remote(num_cpus=0)(lambda: dict(os.environ)).remote()
            server.start(ray.get(environment, timeout=WORKER_START_S))
            server.wait_until_ready(WORKER_START_S)
            yield ray.cluster_resources()
        finally:
            ray.shutdown()
