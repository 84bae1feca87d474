"""A fork server for Ray's worker processes, so that a trial does not wait for imports.

Ray starts about six Python processes for every trial, and on two cores importing Ray, torch and
transformers in each of them takes longer than training the embedded model. This process imports
everything once and forks itself for each worker that `fork_client` asks for. It starts no threads
and touches no device, so a fork is as good as a fresh process.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from conspo_study.processes.fork_client import SERVER

WITHOUT_RAY = ("conspo_study.training.loop", "transformers.models.llama.modeling_llama", "pandas")
"""What is imported while Ray starts."""
WITH_RAY = (
    "ray._private.workers",
    "ray.train.torch",
    "ray.tune",
    "conspo_study.cluster.report_relay",
    "ray.train.v2._internal.execution.controller.placement_group_cleaner",
    "conspo_study.cluster.trial",
)


@contextmanager
def fork_server() -> Iterator[ForkServer]:
    """The server's lifetime; see `ForkServer`. A Ray that is started inside uses it."""
    with tempfile.TemporaryDirectory(prefix="conspo-spawner-") as folder:
        server = ForkServer(str(Path(folder) / "socket"))
        os.environ[SERVER] = server.address
        try:
            with _worker_starts_by(Path(__file__).with_name("fork_client.py")):
                yield server
        finally:
            del os.environ[SERVER]
            server.stop()


@contextmanager
def _worker_starts_by(client: Path) -> Iterator[None]:
    """Have a Ray that is started inside call `client` for every worker process.

    That is a parameter of a Ray node, which `ray.init` does not pass on.
    """
    from ray._private import parameter

    original = parameter.RayParams
    parameter.RayParams = partial(original, setup_worker_path=str(client))
    try:
        yield
    finally:
        parameter.RayParams = original


class ForkServer:
    """A server whose address is known before it serves.

    Ray's processes inherit the address when Ray starts. The server imports what does not need Ray
    in the meantime and the rest afterwards, since Ray's core reads the job's id and more from its
    environment once, when it is loaded. Until then, workers start the slow way.
    """

    def __init__(self, address: str):
        """Starts the process; returns at once."""
        self.address = address
        self._process = subprocess.Popen(
            [sys.executable, "-m", "conspo_study.processes.fork_server", address],
            stdin=subprocess.PIPE,
            # As Ray sets it for workers; PyTorch's threads read it when they are loaded.
            env={"OMP_NUM_THREADS": "1", **os.environ},
        )

    def start(self, environment: Mapping[str, str]) -> None:
        """Begin to serve workers that, like one started without this server, see `environment`;
        returns at once."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which `wait_until_ready` sees
            self._process.stdin.write(json.dumps(dict(environment)).encode() + b"\n")
            self._process.stdin.flush()

    def wait_until_ready(self, seconds: float) -> None:
        """Return when workers are served, or never will be: they then start the slow way."""
        deadline = time.monotonic() + seconds
        while not Path(self.address).exists() and time.monotonic() < deadline:
            if self._process.poll() is not None:
                return
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server. Workers that it has forked live on until Ray ends them."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


def serve(address: str) -> None:
    """Read an environment from standard input, then fork a worker for every request until that
    ends."""
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
        raise SystemExit("conspo-study: Ray's ids would repeat in forked workers; not forking")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    # Forked workers are not waited for: let the kernel reap them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _become_worker(connection)
        connection.close()


def _preload_ray() -> None:
    """Import the rest without drawing from the generator of Ray's core.

    It is seeded at its first use, and forks that inherit a seeded one draw the same ids: two
    trials would then share a placement group. Declaring an actor class draws an id.
    """
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
    """Whether two forks of this process get different ids from the generator of Ray's core."""
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
    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    size = int.from_bytes(head, "big")
    payload = b""
    while len(payload) < size:
        payload += connection.recv(size - len(payload))
    request = json.loads(payload)
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["folder"])
    sys.argv = request["argv"]
    script = request["argv"][0]
    sys.path[0] = str(Path(script).parent)
    status = 1
    try:
        runpy.run_path(script, run_name="__main__")
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


if __name__ == "__main__":
    serve(sys.argv[1])
