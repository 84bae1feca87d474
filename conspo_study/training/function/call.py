"""A call of a training function, seen from the worker that started its process."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from conspo_study.files import write_all
from conspo_study.training.function.child import MOST_BYTES
from conspo_study.training.function.errors import CallDied, FunctionError
from conspo_study.training.function.trial import Call

TORCHRUN = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "GROUP_RANK"),
    *("MASTER_ADDR", "MASTER_PORT"),
)
"""Variables by which torchrun tells a process its place. Those of the worker are not the call's."""
_PACKAGE_PARENT = Path(__file__).parents[3]
_END_S = 30.0


class RunningCall:
    """The process of a call, started by the constructor without waiting for it."""

    def __init__(
        self, call: Call, plugins: Path, threads: int, environment: Mapping[str, str], output: Path
    ):
        """environment: variables that are the call's own. output: file that its standard output
        and error are appended to."""
        self.seed, self._call = call.seed, call
        self._buffer, self._ready, self._ended = b"", False, False
        path = os.pathsep.join(filter(None, [str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH")]))
        inherited = {name: v for name, v in os.environ.items() if name not in TORCHRUN}
        own = {"PYTHONPATH": path, "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
        output.parent.mkdir(parents=True, exist_ok=True)
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE, str(read), str(write)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                pass_fds=(read, write),
                env={**inherited, **own, **environment},
                start_new_session=True,
            )
        os.close(read)
        os.close(write)
        self._send({"call": asdict(call), "plugins": str(plugins), "parent": os.getpid()})

    def turn(self, go_on: bool = True) -> tuple[int, dict[str, Any]] | None:
        """Let the call run to its next report, which is returned: step and metrics. None when it
        has returned.

        go_on: the answer to its last report. Raises FunctionError with the cause of a failure,
        OSError for a full disk, CallDied for a process that was killed.
        """
        if not self._ready:
            self._receive()
            self._ready = True
        self._send({"go_on": go_on})
        message = self._receive()
        if message.get("returned"):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)  # what runs at its exit
            self.end()
            return None
        return int(message["step"]), dict(message["metrics"])

    def end(self) -> None:
        """End the process and its descendants. Harmless if it has ended."""
        if self._ended:
            return
        self._ended = True
        # Its descendants may outlive it. Their group bears its number as long as one does.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        os.close(self._read)
        os.close(self._write)

    def _send(self, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # `_receive` tells what it died of
            write_all(self._write, json.dumps(message).encode() + b"\n")

    def _receive(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            chunk = os.read(self._read, 1 << 16)
            if not chunk or len(self._buffer) > MOST_BYTES:
                raise CallDied(f"seed {self.seed}: the process of the function {self._death()}")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        if "failed" not in message:
            return message
        self.end()
        cause = f"seed {self.seed}: {message['failed']}"
        error: Exception = FunctionError(cause)
        if message["no_space"]:
            error = OSError(errno.ENOSPC, cause)
        error.add_note(str(message["traceback"]))
        raise error

    def _death(self) -> str:
        try:
            status = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        if status >= 0:
            return f"ended with status {status}"
        name = signal.Signals(-status).name
        return f"was ended by {name}" + (
            ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
        )


_MODULE = "conspo_study.training.function.child"
