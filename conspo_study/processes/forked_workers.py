"""Has a Ray that is started inside fork its worker processes, so that no trial waits for imports.

Any failure leaves Ray to start them itself, which is slower and changes no result: one notice says
so, and why.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from conspo_study.processes import fork_client
from conspo_study.processes.fork_client import SERVER
from conspo_study.processes.ray_internals import STARTING, missing, tested_versions
from conspo_study.records import StudyError
from conspo_study.text import one_line

SWITCH = "CONSPO_STUDY_FORK_SERVER"
"""Environment variable: 0 turns forking off; 1, or nothing, leaves it on."""
_END_S = 5.0
"""Longest wait for the server to end when asked to."""


def fork_server_wanted() -> bool:
    """False if the environment turns forking off. Raises StudyError for a value that is neither 0
    nor 1."""
    value = os.environ.get(SWITCH, "1")
    if value not in ("0", "1"):
        raise StudyError(f"{SWITCH} is {value!r}: set it to 0 (off) or 1 (on), or unset it")
    return value == "1"


@contextmanager
def forked_workers(tell: Callable[[str], None]) -> Iterator[ForkServer | None]:
    """The lifetime of a fork server that a Ray started inside uses; None if there is none.

    tell: gets one sentence, from any thread, if the server cannot be used or ends early.
    """
    with ExitStack() as stack:
        server = None
        if fork_server_wanted():
            try:
                server = stack.enter_context(_server(tell))
            except Exception as error:
                tell(_notice(one_line(error)))
        yield server


class ForkServer:
    """A fork server whose address is known before it serves.

    Ray's processes inherit the address when Ray starts. The server imports what does not need Ray
    in the meantime, and the rest afterwards. Until it serves, Ray starts workers itself.
    """

    def __init__(self, address: str, tell: Callable[[str], None]):
        """Start the process; return at once. Raises OSError if it cannot be started."""
        self.address = address
        self._tell = tell
        self._asked_to_end = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "conspo_study.processes.fork_server", address],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # As Ray sets it for workers; PyTorch's threads read it when they are loaded.
            env={"OMP_NUM_THREADS": "1", **os.environ},
        )
        threading.Thread(target=self._watch, daemon=True).start()

    def start(self, environment: Mapping[str, str]) -> None:
        """Begin to serve workers that see `environment`, as one that Ray itself starts does; return
        at once."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended, which is told
            self._process.stdin.write(json.dumps(dict(environment)).encode() + b"\n")
            self._process.stdin.flush()

    def wait_until_ready(self, seconds: float) -> None:
        """Return when workers are served, or never will be."""
        deadline = time.monotonic() + seconds
        while not Path(self.address).exists() and self._process.poll() is None:
            if time.monotonic() > deadline:
                self.stop()
                self._tell(_notice(f"it was not ready after {seconds:.0f} s"))
                return
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server. Workers that it has forked live on until Ray ends them."""
        self._asked_to_end = True
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _watch(self) -> None:
        """Say once that the server has ended early, and the last line that it wrote."""
        assert self._process.stderr is not None
        lines = self._process.stderr.read().decode(errors="replace").split("\n")
        status = self._process.wait()
        # Ctrl-C reaches it, too.
        if self._asked_to_end or status == -signal.SIGINT:
            return
        written = [line.strip() for line in lines if line.strip()]
        killed = f"it was ended by {signal.Signals(-status).name}" if status < 0 else ""
        self._tell(
            _notice(killed or (written[-1] if written else f"it ended with status {status}"))
        )


@contextmanager
def _server(tell: Callable[[str], None]) -> Iterator[ForkServer]:
    if versions := tested_versions():
        raise RuntimeError(f"this version of Ray is not among those tested ({versions})")
    if lacking := missing(STARTING):
        raise RuntimeError(f"this version of Ray has no {lacking[0]}")
    with tempfile.TemporaryDirectory(prefix="conspo-fork-server-") as folder:
        server = ForkServer(str(Path(folder) / "socket"), tell)
        os.environ[SERVER] = server.address
        try:
            with _workers_started_by(fork_client.__file__):
                yield server
        finally:
            del os.environ[SERVER]
            server.stop()


@contextmanager
def _workers_started_by(script: str) -> Iterator[None]:
    """Have a Ray that is started inside call `script` for every worker process.

    That is a parameter of a Ray node, which `ray.init` does not pass on.
    """
    parameter: Any = import_module("ray._private.parameter")
    original = parameter.RayParams
    parameter.RayParams = partial(original, setup_worker_path=script)
    try:
        yield
    finally:
        parameter.RayParams = original


def _notice(reason: str) -> str:
    return (
        f"Trials start more slowly, because the server that forks Ray's processes failed: {reason}."
        f" Results stay the same; {SWITCH}=0 starts without it"
    )
