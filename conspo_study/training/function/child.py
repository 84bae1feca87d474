"""The process of one call of a training function.

    python -m conspo_study.training.function.child READ WRITE

READ and WRITE are descriptors of pipes to the trial's worker. Messages are lines of JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from typing import IO, Any

from conspo_study.files import is_no_space
from conspo_study.plugins import load, search_in
from conspo_study.training.function.errors import FunctionError
from conspo_study.training.function.trial import Call, Trial, TrialStopped

MOST_BYTES = 1 << 24
"""Of a message."""
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG


def main(read: int, write: int) -> int:
    """Wait for a turn, make the call, and tell how it ended; returns the exit status."""
    with os.fdopen(read, "rb", buffering=0) as source, os.fdopen(write, "wb", buffering=0) as sink:
        channel = _Channel(source, sink)
        about = channel.receive()
        _die_with(int(about["parent"]))
        search_in(about["plugins"])
        try:
            function = load(about["call"]["function"])
            trial = Trial(Call(**about["call"]), channel.exchange)
            channel.send({"ready": True})
            channel.receive()
            _run(function, about["call"], trial)
        except (Exception, SystemExit) as error:
            channel.send({"failed": _cause(error), **_about(error)})
            return 1
        channel.send({"returned": True})
    return 0


def _run(function: Any, call: Mapping[str, Any], trial: Trial) -> None:
    try:
        function(dict(call["params"]), call["seed"], trial)
    except TrialStopped:
        if trial.go_on:
            raise
    except SystemExit as leaving:
        if leaving.code not in (None, 0):
            raise


class _Channel:
    def __init__(self, source: IO[bytes], sink: IO[bytes]):
        self._source, self._sink = source, sink
        self._buffer = b""

    def send(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        if len(line) > MOST_BYTES:
            raise FunctionError(f"a report of {len(line):,} bytes: report numbers, not data")
        while line:
            line = line[self._sink.write(line) :]

    def receive(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            chunk = self._source.read(1 << 16)
            if not chunk:
                os._exit(1)  # the worker is gone, and with it whoever would read an error
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def exchange(self, report: Mapping[str, Any]) -> bool:
        self.send(report)
        return bool(self.receive()["go_on"])


def _cause(error: BaseException) -> str:
    if isinstance(error, FunctionError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _about(error: BaseException) -> dict[str, Any]:
    return {"traceback": traceback.format_exc(), "no_space": is_no_space(error)}


def _die_with(parent: int) -> None:
    """Have the kernel end this process when the worker that started it ends, however it ends."""
    ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), int(sys.argv[2])))
