"""Process that has imported everything a trial needs, and forks itself for each of Ray's workers.

Ray starts about six Python processes for every trial, and on two cores importing Ray, torch and
transformers in each of them takes longer than training the embedded model. This process starts no
threads and touches no device, so a fork is as good as a fresh process. `forked_workers` starts and
watches it, `fork_client` asks it for workers. It ends at any failure, with the cause as the last
line of its standard error; workers that it has forked live on.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from conspo_study.processes.fork_client import GO, READY
from conspo_study.processes.ray_internals import FORKING, missing

WITHOUT_RAY = ("conspo_study.training.loop", "transformers.models.llama.modeling_llama", "pandas")
"""Modules that are imported while Ray starts."""
WITH_RAY = (
    "ray._private.workers",
    "ray.train.torch",
    "ray.tune",
    "conspo_study.cluster.report_relay",
    "ray.train.v2._internal.execution.controller.placement_group_cleaner",
    "conspo_study.cluster.trial",
)
"""Modules that are imported once Ray runs: its core reads the job's id and more from the
environment when it is loaded."""


def serve(address: str) -> None:
    """Read an environment, a line of JSON, from standard input, then fork a worker for every
    request at `address` until standard input ends."""
    # Ctrl-C reaches the whole group: until there is something to serve, end without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for name in WITHOUT_RAY:
        importlib.import_module(name)
    environment = sys.stdin.readline()
    if not environment:
        return  # Ray did not start
    os.environ.clear()
    os.environ.update(json.loads(environment))
    _preload_ray()
    if not _forks_draw_different_ids():
        raise SystemExit("random ids of Ray would repeat in forked processes")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    # Forked workers are not waited for: let the kernel reap them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            os._exit(0)  # nothing to clean up, and Ray's own cleaning up takes seconds
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _become_worker(connection)
        connection.close()


def _preload_ray() -> None:
    """Import the rest without drawing from the random generator of Ray's core.

    It is seeded at its first use, and forks that inherit a seeded one draw the same ids: two
    trials would then share a placement group. Declaring an actor class draws an id.
    """
    if lacking := missing(FORKING):
        raise SystemExit(f"this version of Ray has no {lacking[0]}")
    import ray.actor
    from ray._raylet import ActorClassID

    class SystemRandom:
        """Stands for ActorClassID where Ray asks for a random one."""

        @staticmethod
        def from_random() -> Any:
            return ActorClassID(os.urandom(len(ActorClassID.nil().binary())))

    ray.actor.ActorClassID = SystemRandom
    for name in WITH_RAY:
        importlib.import_module(name)
    ray.actor.ActorClassID = ActorClassID


def _forks_draw_different_ids() -> bool:
    """True if two forks of this process draw different ids from the generator of Ray's core."""
    from ray._raylet import UniqueID

    drawn = set()
    for _ in range(2):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, UniqueID.from_random().binary())
            os._exit(0)
        os.waitpid(child, 0)
        drawn.add(os.read(reading, 64))
        os.close(reading)
        os.close(writing)
    return len(drawn) == 2


def _become_worker(connection: socket.socket) -> None:
    """In the fork: take over the client's streams and arguments and run its script. Never
    returns. The connection stays open until this process ends, which tells the client."""
    status = 1
    try:
        request = _request(connection)
        connection.sendall(READY)
        if connection.recv(1) != GO:
            raise EOFError("the client no longer waits")
    except BaseException:
        os._exit(status)
    try:
        runpy.run_path(request["argv"][0], run_name="__main__")
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(bool(leaving.code))
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _request(connection: socket.socket) -> dict[str, Any]:
    """Receive what the worker is given, and take over all of it but its script."""
    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    size = int.from_bytes(head, "big")
    payload = b""
    while len(payload) < size:
        received = connection.recv(size - len(payload))
        if not received:
            raise EOFError("the client has gone")
        payload += received
    request: dict[str, Any] = json.loads(payload)
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # As in a worker that Ray starts itself: Ctrl-C in a terminal is for the driver.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["folder"])
    sys.argv = request["argv"]
    sys.path[0] = str(Path(request["argv"][0]).parent)
    return request


if __name__ == "__main__":
    serve(sys.argv[1])
