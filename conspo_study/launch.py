"""Bringing up what a study needs, what shows something soonest first: policy, Ray, trials."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

from conspo_study.console import Console
from conspo_study.definition import StudyDefinition
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
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def launch(study: StudyDefinition, folder: Path, log: ResultsLog, console: Console) -> bool:
    """Run the study's open trials; returns whether all of them ended (False: interrupted)."""
    with console.warm_start(study.base.policy) as progress:
        prepare_policy(study.base.policy, progress)
    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"ray\..*")
    with console.waiting("starting Ray"):
        import ray

        if not ray.is_initialized():
            ray.init(
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=True,
            )
        from conspo_study.ray_tune import run_search
    try:
        resources = ray.cluster_resources()
        plan = make_plan(study, int(resources.get("CPU", 0)), int(resources.get("GPU", 0)))
        if plan.problems:
            raise RuntimeError("\n".join(plan.problems))
        search = Search(study, log)
        with console.live(study, log, plan.concurrent):
            run_search(search, study, folder, plan.concurrent)
        return search.complete
    finally:
        ray.shutdown()
