"""Bringing up what a study needs: policy and Ray side by side, then the trials."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from threading import Thread

from conspo_study.cluster.connection import (
    OWN_RAY_SETTINGS,
    RAY_SETTINGS,
    metrics_port,
    ray_cluster,
)
from conspo_study.cluster.own_ray import asks_for_a_token
from conspo_study.cluster.room import Room, nodes_now, wait_for_nodes
from conspo_study.cluster.surroundings import settle
from conspo_study.config.places import cache_root, named_cluster
from conspo_study.definition import StudyDefinition
from conspo_study.definition.batches import search_batch
from conspo_study.forecast.plan import Plan, make_plan
from conspo_study.processes.forked_workers import fork_server_wanted
from conspo_study.processes.interrupts import handle_again, tune_has_ended
from conspo_study.records import StudyError
from conspo_study.results.log import ResultsLog
from conspo_study.results.names import ray_messages
from conspo_study.results.retention import budget_bytes, making_room
from conspo_study.search import Search
from conspo_study.terminal.console import Console, Preparation
from conspo_study.text import counted
from conspo_study.training.prepare import prepare_policies

_MORE_NODES = (
    "Nodes that the cluster does not have yet are waited for, and asked for where it scales by "
    "itself, with --wait-for-nodes N"
)
CANCEL_S = 2.0
"""Longest wait for the preparation of a policy to end when it is no longer wanted."""


def launch(
    study: StudyDefinition,
    folder: Path,
    log: ResultsLog,
    plan: Plan,
    console: Console,
    retried: Collection[str] = (),
    expected_nodes: int = 0,
) -> bool:
    """Run the study's open trials; returns whether all of them ended (False: interrupted).

    plan: that of this machine, without problems; another cluster is planned for once connected.
    retried: failed trials that are run again. expected_nodes: number of nodes that a cluster is to
    have, each with room for a worker, before trials are placed.
    Without `RAY_ADDRESS` it runs on a Ray of its own, which ends with it. With it, it runs on that
    cluster beside whatever else does: `folder` must then be reachable under the same path from all
    nodes, and the study takes only what is free.

    Raises StudyError when the cluster cannot place a trial. Ends the process, resumable, when the
    cluster goes away.
    """
    settings = RAY_SETTINGS | ({} if named_cluster() else OWN_RAY_SETTINGS)
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"ray\..*")
    notices = settle()
    _make_cache()
    budget_bytes(folder)  # refuses nonsense before anything starts
    metrics_port()
    asks_for_a_token()
    fork_server_wanted()
    run = search_batch(study).run
    with ExitStack() as stack:
        with console.preparing() as shown, _in_background(study, shown) as policy:
            with shown.task("starting Ray"):
                # The dashboard's list of jobs shows the name.
                messages = ray_messages(folder)
                about = {"job_name": study.name, "study": study.name, "results": folder.name}
                cluster = stack.enter_context(ray_cluster(about, messages, console.prose))
                handle_again()  # Ray handles SIGTERM itself
                from conspo_study.cluster.prometheus import exporting
                from conspo_study.cluster.tune import run_search
            if study.function is None:
                with shown.task(f"policy {study.built_in.policy.model}"):
                    _policy_of(policy)
            if expected_nodes:
                with shown.task(f"waiting for {counted(expected_nodes, 'node')}"):
                    wait_for_nodes(expected_nodes, run, console.prose)
        nodes = nodes_now()
        if named_cluster():
            cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
            plan = make_plan(
                study, cpus, gpus, nodes=nodes, folder=folder, gpu_bytes=plan.gpu_bytes
            )
            if plan.problems:
                raise StudyError("\n".join([*plan.problems, _MORE_NODES]))
        search = Search(study, log, retried)
        if not console.quiet:
            console.lines([*notices, *cluster.lines()])
        with (
            console.live(study, log, plan.concurrent),
            exporting(study, log, console.line),
            making_room(study.name, study.direction, folder, log, console.line),
        ):
            try:
                run_search(search, study, folder, cluster.folder, Room(run, nodes))
            finally:
                tune_has_ended()
        return search.complete


def _make_cache() -> None:
    """Raise StudyError at once where there can be no cache. One that cannot be written may hold
    what is needed."""
    try:
        cache_root().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.strerror is None:
            raise StudyError(str(error)) from error
        raise StudyError(
            f"the cache {cache_root()} cannot be made ({error.strerror}): set CONSPO_STUDY_CACHE "
            "to a folder that can"
        ) from error


def _policy_of(policy: Future[dict[int, Path]]) -> None:
    """Wait for the policy. Raises StudyError where it cannot be had."""
    try:
        policy.result()
    except (OSError, ValueError, ModuleNotFoundError) as error:
        raise StudyError(str(error)) from error


@contextmanager
def _in_background(study: StudyDefinition, shown: Preparation) -> Iterator[Future[dict[int, Path]]]:
    """The policies in preparation on one core while Ray starts on the others; never to come for a
    training function, which has none."""
    policy: Future[dict[int, Path]] = Future()
    if study.function is not None:
        yield policy
        return

    def prepare() -> None:
        try:
            again = study.confirm.seeds if study.confirm else ()
            seeds = tuple(dict.fromkeys((*study.seeds, *again)))
            policy.set_result(prepare_policies(study.built_in.policy, seeds, shown.warm_start))
        except BaseException as error:
            policy.set_exception(error)

    # Its hooks around forks, registered while Ray forks, would release a lock that nobody holds.
    import_module("concurrent.futures.thread")
    # A daemon: an interrupt may come in the middle of an import, for which others wait in vain.
    thread = Thread(target=prepare, daemon=True)
    thread.start()
    try:
        yield policy
    except BaseException:
        shown.cancelled.set()
        thread.join(CANCEL_S)
        raise
