"""The checking process: answers one request at a time until its input ends.

Run as `python -m conspo_study.reward.worker MEMORY_MB` for formulas, confined (see `confined`); a
custom reward function needs its import path and the folders to import from as further arguments.
Linux only (it reads /proc). Requests and replies are lines of JSON. The first line is the task's
`hello` or `{"error": "..."}`; each later one answers a request, with `last` true if this process
must be replaced.

math-verify's own timeouts are disabled here, and only here: the kernel ends this process at its
deadline in CPU seconds, or the parent at one in wall-clock seconds. They rely on Python's signal
handlers, which do not run during a long operation in C.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO, Protocol

from conspo_study.records import Verdict
from conspo_study.reward.confined import confine

_START_S = 300.0
_MIB = 1 << 20


class Task(Protocol):
    """The computation of a checking process."""

    hello: dict[str, Any]
    retires_at: float
    """Fraction of the memory cap beyond which the process is replaced."""

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to a request."""

    def exhausted(self, reply: dict[str, Any], share: float) -> bool:
        """True if the reply may be due to a lack of memory; share: peak use of the cap, 0 to 1."""


def load_task(arguments: Sequence[str]) -> Task:
    """The task named by the arguments after the memory cap. Raises the errors of loading it."""
    if not arguments:
        from conspo_study.reward.math_task import MathTask

        return MathTask()
    from conspo_study.reward.function_task import FunctionTask

    path, *folders = arguments
    sys.path[:] = [*folders, *(place for place in sys.path if place not in folders)]
    return FunctionTask(path)


class _Memory:
    """The memory cap of this process: `cap` bytes of address space beyond what it has now."""

    def __init__(self, cap: int) -> None:
        self._status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
        self._start, self._cap = self._peak_bytes(), cap
        resource.setrlimit(resource.RLIMIT_AS, (self._start + cap, self._start + cap))

    def share(self) -> float:
        """The largest part of the cap that was ever in use, 0 to 1."""
        return (self._peak_bytes() - self._start) / self._cap

    def _peak_bytes(self) -> int:
        for line in os.pread(self._status, 1 << 16, 0).splitlines():
            if line.startswith(b"VmPeak:"):
                return int(line.split()[1]) * 1024
        raise OSError("/proc/self/status has no VmPeak: the memory cap of a check needs Linux")


def _arm(cpu_s: float, wall_s: float) -> None:
    """Let the kernel terminate this process after `cpu_s` seconds of its computing, or `wall_s`
    seconds from now (0: never).

    The second also removes a busy process, which does not notice the end of its input, if the
    parent was killed. No Python handler is needed: the default action of both signals is to
    terminate.
    """
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    signal.setitimer(signal.ITIMER_REAL, wall_s)


def _serve(task: Task, requests: BinaryIO, replies: BinaryIO, memory: _Memory) -> None:
    _reply(replies, **task.hello)
    for line in requests:
        request = json.loads(line)
        _arm(request["cpu_s"], request["wall_s"])
        try:
            reply = task(request)
            share = memory.share()
            killed = task.exhausted(reply, share)
        except MemoryError:
            reply, share, killed = {}, 1.0, True
        _arm(0, 0)
        last = share > task.retires_at
        if killed:
            reply = {"verdict": Verdict.KILLED.value}
        _reply(replies, **reply, last=last or killed)
        if last or killed:
            return


def _reply(replies: BinaryIO, **message: object) -> None:
    replies.write(json.dumps(message).encode() + b"\n")
    replies.flush()


def main() -> None:
    """Serve requests from standard input; standard output carries only replies."""
    cap = int(sys.argv[1]) * _MIB
    replies = os.fdopen(os.dup(1), "wb")
    # Libraries may print untrusted text of a model, which must not reach a terminal or a log.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for limit in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(limit, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM, signal.SIGPROF})
    _arm(0, _START_S)
    try:
        task = load_task(sys.argv[2:])
    except Exception as error:
        _reply(replies, error=str(error) or type(error).__name__)
        return
    _arm(0, 0)
    memory = _Memory(cap)
    if not sys.argv[2:]:
        task.hello["confined"] = confine()
    _serve(task, sys.stdin.buffer, replies, memory)


if __name__ == "__main__":
    main()
