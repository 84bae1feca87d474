"""A pool of checking processes, each killed if its request takes too long."""

from __future__ import annotations

import select
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from conspo_study.records import Verdict
from conspo_study.reward.child import Child, ChildDied, OutOfTime

_LOST_PER_WORKER = 3
"""Idle processes lost in a row, per worker, after which no more are started."""

Reply = Mapping[str, Any] | Verdict
"""The reply of a process; TIMEOUT or KILLED if there was none."""


class VerifierUnavailable(RuntimeError):
    """No checking process can be started; the message says what to do."""


class RewardUnavailable(VerifierUnavailable):
    """A checking process cannot load its task, and another one could not either."""


def _kill_all(children: list[Child]) -> None:
    while children:
        children.pop().kill()


class Pool:
    """Up to `workers` children, started on first use and replaced when lost; not thread-safe."""

    def __init__(self, workers: int, memory_mb: int, arguments: Sequence[str] = ()) -> None:
        """arguments: the command line of the processes after the memory cap; see `worker`."""
        self._workers = workers
        self._memory_mb = memory_mb
        self._arguments = arguments
        self._children: list[Child] = []
        self._size = 0
        self._lost = 0
        # Runs at garbage collection or at the end of the interpreter.
        self._finalizer = weakref.finalize(self, _kill_all, self._children)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the children, including those that are starting."""
        return tuple(child.pid for child in self._children)

    def hello(self) -> Mapping[str, Any]:
        """The first message of a process, sent when it has started.

        Raises VerifierUnavailable if no process starts, RewardUnavailable if none ever can.
        """
        self._size = max(self._size, 1)
        while not (greetings := [child.hello for child in self._children if child.hello]):
            self._fill()
            self._collect([])
        return greetings[0]

    def ask(self, requests: Sequence[Mapping[str, Any]], deadline_s: float) -> list[Reply]:
        """The reply to each request, in order.

        deadline_s: of each, in seconds as in `Child.send`. A request that exceeds it is TIMEOUT,
        one whose process dies is KILLED; in both cases the process is replaced. Raises the errors
        of `hello`, also if idle processes die repeatedly.
        """
        replies: list[Reply] = [Verdict.KILLED] * len(requests)
        waiting = deque(range(len(requests)))
        self._size = max(self._size, min(self._workers, len(requests)))
        try:
            while waiting or any(child.job is not None for child in self._children):
                self._fill()
                self._assign(waiting, requests, deadline_s)
                self._collect(replies)
        except BaseException:
            # Their replies would be mistaken for those of the next batch.
            for child in [child for child in self._children if child.job is not None]:
                self._drop(child)
            raise
        # Replacements start while the caller continues.
        self._fill()
        return replies

    def close(self) -> None:
        """End all children."""
        self._size = 0
        _kill_all(self._children)

    def disown(self) -> None:
        """In a fork: forget the children, which are the parent's."""
        for child in self._children:
            child.disown()
        self._children.clear()

    def _fill(self) -> None:
        while len(self._children) < self._size:
            self._children.append(Child(self._memory_mb, self._arguments))

    def _assign(
        self, waiting: deque[int], requests: Sequence[Mapping[str, Any]], deadline_s: float
    ) -> None:
        for child in list(self._children):
            if not waiting:
                return
            if child.hello and child.job is None:
                try:
                    child.send(waiting[0], requests[waiting[0]], deadline_s)
                except OSError:
                    self._lose_idle(child)
                else:
                    waiting.popleft()

    def _collect(self, replies: list[Reply]) -> None:
        """Wait for the next reply or deadline, and process all that have arrived."""
        active = [child for child in self._children if child.job is not None or not child.hello]
        if not active:
            return
        poll = select.poll()
        for child in active:
            poll.register(child, select.POLLIN)
        earliest = min(child.due for child in active)
        poll.poll(max(0.0, earliest - time.monotonic()) * 1000 + 1)
        # Replies are read before the time is checked: one that has arrived is in time.
        for child in active:
            try:
                reply = child.receive()
                if reply is not None:
                    self._accept(child, reply, replies)
                elif time.monotonic() >= child.due:
                    self._lose(child, Verdict.TIMEOUT, replies)
            except OutOfTime:
                self._lose(child, Verdict.TIMEOUT, replies)
            except (ChildDied, KeyError, ValueError):
                self._lose(child, Verdict.KILLED, replies)

    def _accept(self, child: Child, reply: dict[str, Any], replies: list[Reply]) -> None:
        if child.hello is None:
            if "error" in reply:
                raise RewardUnavailable(str(reply["error"]))
            child.hello = reply
            return
        if child.job is None:
            raise ChildDied  # an unrequested message
        last = bool(reply["last"])
        replies[child.job] = reply
        child.job = None
        self._lost = 0
        if last:
            self._drop(child)

    def _lose(self, child: Child, verdict: Verdict, replies: list[Reply]) -> None:
        if child.job is None:
            self._lose_idle(child)
        else:
            replies[child.job] = verdict
            self._drop(child)

    def _lose_idle(self, child: Child) -> None:
        """Replace a child lost while idle, up to a limit."""
        self._drop(child)
        self._lost += 1
        if self._lost > _LOST_PER_WORKER * self._workers:
            raise VerifierUnavailable(
                f"{self._lost} checking processes in a row ended before they did any work: run "
                "`python -m conspo_study.reward.worker 1024 | cat` to see whether one starts, and "
                "check the memory limit of the machine or container"
            )

    def _drop(self, child: Child) -> None:
        self._children.remove(child)
        child.kill()
