"""The parent's handle of one checking process."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import site
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_BACKSTOP = 10.0, 30.0
"""Wall-clock limit of a check whose deadline is in CPU seconds: this many times the deadline, plus
so many seconds. A busy machine must not decide a verdict; a process that sleeps must end."""
_ORPHAN_S = 5.0
"""Seconds beyond its limits after which a process ends by itself, should its parent be gone."""
_PYTHON_NEEDS = (
    "LD_LIBRARY_PATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHASHSEED",
    "PYTHONHOME",
    "PYTHONNOUSERSITE",
    "PYTHONPYCACHEPREFIX",
)
_START_S = 120.0
"""Time limit for the start of a process, in seconds."""
_MAX_REPLY_BYTES = 1 << 24
_PACKAGE_PARENT = Path(__file__).parents[2]


class ChildDied(Exception):
    """The process ended or wrote something that is not a reply."""


class OutOfTime(ChildDied):
    """The kernel ended the process at its deadline in CPU seconds."""


class Child:
    """A process of `conspo_study.reward.worker`, started by the constructor without waiting.

    arguments: its command line after the memory cap. Without any, it compares formulas: confined
    (`reward.confined`), and with deadlines in its own CPU seconds. A custom function, named by the
    arguments, has the parent's environment, and deadlines in wall-clock seconds, since it may wait
    for a network.

    The process is starting until `hello`, its first message, is set; then it is busy while `job`
    is set, and idle otherwise. `due` is the monotonic time by which the current state must end. It
    leads its own session, so that Ctrl-C in a terminal does not reach it and a kill includes its
    descendants; it exits when its standard input closes.
    """

    def __init__(self, memory_mb: int, arguments: Sequence[str] = ()) -> None:
        self._owner = os.getpid()
        self._confined = not arguments
        self._buffer = b""
        self.hello: dict[str, Any] | None = None
        self.job: int | None = None
        # PYTHONPATH makes this package importable in the child; -P keeps files of the working
        # directory from shadowing libraries.
        path = os.pathsep.join(filter(None, [str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "conspo_study.reward.worker",
                str(memory_mb),
                *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=_environment(path) if self._confined else {**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout
        os.set_blocking(self._requests.fileno(), False)
        os.set_blocking(self._replies.fileno(), False)
        self.due = time.monotonic() + _START_S

    @property
    def pid(self) -> int:
        """Process id, also of its session and process group."""
        return self._process.pid

    def fileno(self) -> int:
        """The file descriptor that becomes readable when there is a message to `receive`."""
        return self._replies.fileno()

    def send(self, job: int, request: Mapping[str, Any], deadline_s: float) -> None:
        """Send request number `job` to an idle child; its deadline starts now.

        deadline_s: in CPU seconds of the process if it is confined, else in wall-clock seconds.
        Raises OSError if the process has ended; the request was then not processed.
        """
        if self._confined:
            wall_s = _BACKSTOP[0] * deadline_s + _BACKSTOP[1]
            limits = {"cpu_s": deadline_s, "wall_s": wall_s + _ORPHAN_S}
        else:
            wall_s = deadline_s
            limits = {"cpu_s": 0.0, "wall_s": 2 * deadline_s + _ORPHAN_S}
        self.due = time.monotonic() + wall_s
        line = json.dumps({**request, **limits}).encode() + b"\n"
        while line:
            try:
                line = line[os.write(self._requests.fileno(), line) :]
            except BlockingIOError:
                # A full pipe means that the process is stopped or reads a long request. The
                # deadline limits the wait.
                if time.monotonic() >= self.due:
                    break
                select.select([], [self._requests], [], max(0.0, self.due - time.monotonic()))
        self.job = job

    def receive(self) -> dict[str, Any] | None:
        """The next reply; None if it is not complete yet. Raises ChildDied."""
        with contextlib.suppress(BlockingIOError):
            while b"\n" not in self._buffer:
                chunk = os.read(self._replies.fileno(), _MAX_REPLY_BYTES)
                if not chunk and self._ran_out():
                    raise OutOfTime
                if not chunk or len(self._buffer) > _MAX_REPLY_BYTES:
                    raise ChildDied
                self._buffer += chunk
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline:
            return None
        self._buffer = rest
        try:
            reply = json.loads(line)
        except ValueError as error:
            raise ChildDied from error
        if not isinstance(reply, dict):
            raise ChildDied
        return reply

    def _ran_out(self) -> bool:
        """Whether the process, which has closed its output, was ended for its CPU seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=10) == -signal.SIGPROF
        return False

    def disown(self) -> None:
        """Close a fork's copies of the pipes, which would keep the process alive when its owner
        ends."""
        self._requests.close()
        self._replies.close()
        self._process.returncode = 0  # not ours to wait for

    def kill(self) -> None:
        """Kill the process and its descendants. Harmless if it has ended."""
        # In a fork of this process, the child is not ours.
        if os.getpid() != self._owner:
            return
        # Before wait(), the process id cannot have been reused.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._requests.close()
        self._replies.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)


def _environment(path: str) -> dict[str, str]:
    """The environment of a confined process: what finds Python and its libraries, with `path` as
    PYTHONPATH."""
    needed = {name: os.environ[name] for name in _PYTHON_NEEDS if name in os.environ}
    if site.ENABLE_USER_SITE:
        needed["PYTHONUSERBASE"] = site.getuserbase()  # instead of HOME
    return {**needed, "PYTHONPATH": path}
