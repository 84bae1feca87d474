"""A Ray of our own for the length of a block, or a connection to an existing cluster."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from shlex import quote
from shutil import disk_usage
from typing import Any

from conspo_study.cluster.address import check_that_a_head_listens
from conspo_study.cluster.own_ray import OPEN, kept_private
from conspo_study.cluster.passed_on import PASSED_ON
from conspo_study.cluster.surroundings import private_folder_if_any, study_folder
from conspo_study.config.places import named_cluster
from conspo_study.machine import usable_cores, usable_gpus
from conspo_study.processes.forked_workers import forked_workers
from conspo_study.processes.interrupts import end_at_once, handle_again
from conspo_study.processes.watchdog import watching
from conspo_study.records import StudyError
from conspo_study.text import one_line

RAY_SETTINGS = {
    # Poll workers often: a trial of the embedded model lives for seconds, not hours.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # One actor per trial less; preemptible nodes are a matter of the cluster's own settings.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # Our log and rows are the record: no CSV, JSON and TensorBoard copies by Tune.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    # How trials end is for the study to say.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Tune's own snapshots are never read.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    # A report of a failure carries its cause and no metric.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A submitted job may set in its runtime environment what the study passes on from there.
    "RAY_OVERRIDE_JOB_RUNTIME_ENV": "1",
    # On a shared cluster a trial waits for its turn.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
    # A dead worker does not take part in leaving the process group.
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "5",
    # A worker that answers no poll for this long is frozen and replaced. Polls are answered beside
    # training, so a long step does not delay them, but one that holds the interpreter's lock does:
    # loading or saving a large model may, for many seconds.
    "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": "120",
}
OWN_RAY_SETTINGS = {
    # Which actors and processes belong to which trial. On a cluster that was there before, the
    # actor that keeps this would outlive the study.
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",
}
"""Further settings of a Ray that ends with the study."""
METRICS_PORT = "CONSPO_STUDY_METRICS_PORT"
"""Environment variable: the port at which a Ray of our own shows its metrics to Prometheus; without
it Ray chooses one and writes it into its file for service discovery."""
OBJECT_STORE_BYTES = 200_000_000
"""Ray's object store where /dev/shm has no room for it: a study keeps next to nothing there."""
WORKER_START_S = 120.0
"""Longest wait for the first worker process of a new local Ray."""
_CONNECT = (
    "Start a cluster there (`ray start --head`), unset RAY_ADDRESS to run on this machine, or, if "
    "it asks for a token, set RAY_AUTH_MODE=token"
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The Ray that a study runs on."""

    dashboard: str
    """Address of its dashboard, `host:port`; empty when it has none."""
    folder: Path
    """For temporary files of this process; those of a Ray of our own are there, too."""
    token: Path | None = None
    """The file with the token of a Ray of our own, None if it asks for none."""

    def lines(self) -> list[str]:
        """Where to look at it, for people. A token is never among them."""
        if not self.dashboard:
            return []
        line = f"Ray dashboard: http://{self.dashboard}"
        if self.token:
            line += f"; it asks for the token that `cat {quote(str(self.token))}` prints"
        elif os.environ.get("RAY_AUTH_MODE", "").lower() == "token":
            line += "; it asks for the token that `ray get-auth-token` prints"
        return [line]


def metrics_port() -> int | None:
    """The port that the environment sets for a Ray of our own, None for any. Raises StudyError for
    what is no port, or one that something else listens on."""
    text = os.environ.get(METRICS_PORT)
    if text is None or named_cluster():
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 16:
        raise StudyError(f"{METRICS_PORT} is {text!r}: set it to a port, 1 to 65535, or unset it")
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", int(text)))
    except OSError as error:
        raise StudyError(
            f"{METRICS_PORT} is {text}, a port that cannot be used ({error.strerror}): set it to "
            "another, or unset it"
        ) from error
    return int(text)


@contextmanager
def ray_cluster(
    about: Mapping[str, str] | None = None,
    messages: Path | None = None,
    tell: Callable[[str], None] = lambda notice: None,
) -> Iterator[Cluster]:
    """Connect to the cluster of `RAY_ADDRESS`, or start one on this machine for the length of the
    block. about: what the cluster's list of jobs is to say of this one. messages: the file for what
    Ray itself has to say, by default none. tell: gets notices for people, from any thread."""
    import ray
    from ray.job_config import JobConfig

    from conspo_study.cluster.messages import ray_messages_to
    from conspo_study.processes.reaper import reaper

    with ExitStack() as stack:
        stack.enter_context(ray_messages_to(messages or Path(os.devnull)))
        folder, *removed = stack.enter_context(study_folder())
        stack.enter_context(reaper(*removed))
        token = None
        if address := named_cluster():
            stack.callback(_shut_down)
            with _explained(f"RAY_ADDRESS={address} cannot be used", lambda: _CONNECT):
                check_that_a_head_listens()
                context = ray.init(
                    # What the processes of a Ray of our own inherit.
                    runtime_env={"env_vars": _passed_on()},
                    job_config=JobConfig(metadata=dict(about or {})),
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        else:
            token = stack.enter_context(kept_private(folder))
            if token is None:
                tell(OPEN.format(mode=os.environ["RAY_AUTH_MODE"]))
            server = stack.enter_context(forked_workers(tell))
            stack.callback(_shut_down)
            with _explained(
                "Ray cannot be started on this machine", partial(_start_advice, folder)
            ):
                context = ray.init(
                    # Ray counts what the machine has, not what this process may use of it.
                    num_cpus=usable_cores(),
                    num_gpus=usable_gpus(),
                    **_object_store(folder),
                    # Or it would join whatever cluster was started on this machine last.
                    address="local",
                    # Without its dashboard Ray Train cannot tell which placement groups to remove.
                    include_dashboard=True,
                    _metrics_export_port=metrics_port(),
                    job_config=JobConfig(metadata=dict(about or {})),
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
                if server is not None:
                    environment = ray.remote(num_cpus=0)(lambda: dict(os.environ)).remote()
                    server.start(ray.get(environment, timeout=WORKER_START_S))
            import_module("conspo_study.cluster.tune")  # on another core than the server imports
            if server is not None:
                server.wait_until_ready(WORKER_START_S)
        stack.enter_context(watching(_what_is_wrong_with_ray, _give_up))
        yield Cluster(context.dashboard_url or "", folder, token)


def _shut_down() -> None:
    """End Ray, or the connection to it, after which SIGTERM would end the process unheard."""
    import ray

    ray.shutdown()
    handle_again()


def _object_store(folder: Path) -> dict[str, Any]:
    """Ray's object store on disk where /dev/shm is absent or as small as containers have it."""
    with suppress(OSError):
        if disk_usage("/dev/shm").free > 2 * OBJECT_STORE_BYTES:
            return {}
    return {"object_store_memory": OBJECT_STORE_BYTES, "_plasma_directory": str(folder)}


def _passed_on() -> dict[str, str]:
    """Settings of this process that the study's processes on other nodes need, too."""
    names = (*RAY_SETTINGS, *PASSED_ON)
    here = private_folder_if_any()  # which other nodes do not have
    return {
        name: os.environ[name]
        for name in names
        if name in os.environ and not (here and os.environ[name].startswith(str(here)))
    }


def _start_advice(folder: Path) -> str:
    """What to look at after a failed start. Ray's logs, which go with the study's folder, are moved
    to one that stays."""
    place = folder.resolve().parent
    logs = folder / "ray" / "session_latest" / "logs"
    kept = ""
    with suppress(OSError):
        if logs.is_dir():
            kept = shutil.move(logs.resolve(), tempfile.mkdtemp(prefix="conspo-ray-", dir=place))
            kept = f" Ray's logs are kept in {kept}"
    return (
        f"Nothing was run. Look whether memory, disk (Ray's files are in {place}) or "
        f"cores are used up by others, then try again.{kept}"
    )


@contextmanager
def _explained(what: str, advice: Callable[[], str]) -> Iterator[None]:
    """Say in one line what Ray says in many. advice: called after a failure."""
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        reason = one_line(error)
        raise StudyError(f"{what}: {reason}. {advice()}") from error


def _what_is_wrong_with_ray() -> str | None:
    """None while the cluster's head answers and knows the driver's node."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    if any(node["NodeID"] == here and node["Alive"] for node in ray.nodes()):
        return None
    return "the driver's node is no longer part of the Ray cluster"


def _give_up(what: str) -> None:
    end_at_once(f"Ray is gone: {what}")
