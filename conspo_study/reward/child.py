"""The parent's handle of one checking process."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_START_S = 120.0
"""Time limit for the start of a process, in seconds."""
_MAX_REPLY_BYTES = 1 << 24
_PACKAGE_PARENT = Path(__file__).parents[2]


class ChildDied(Exception):
    """The process ended or wrote something that is not a reply."""


class Child:
    """A process of `conspo_study.reward.worker`, started by the constructor without waiting.

    arguments: its command line after the memory cap; by default it compares formulas. The process
    is starting until `hello`, its first message, is set; then it is busy while `job` is set, and
    idle otherwise. `due` is the monotonic time by which the current state must end. The process
    leads its own session, so that Ctrl-C in a terminal does not reach it and a kill includes its
    descendants; it exits when its standard input closes.
    """

    def __init__(self, memory_mb: int, arguments: Sequence[str] = ()) -> None:
        self._owner = os.getpid()
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
            env={**os.environ, "PYTHONPATH": path},
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

        Raises OSError if the process has ended; the request was then not processed.
        """
        self.due = time.monotonic() + deadline_s
        line = json.dumps({**request, "deadline_s": deadline_s}).encode() + b"\n"
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
