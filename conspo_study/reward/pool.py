"""A fixed number of checking processes, each killed when its request takes too long."""

from __future__ import annotations

import select
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from conspo_study.records import Verdict
from conspo_study.reward.child import Child, ChildDied

_LOST_PER_WORKER = 3

Reply = Mapping[str, Any] | Verdict
"""What a process answered; or TIMEOUT or KILLED where it did not."""


class VerifierUnavailable(RuntimeError):
    """No checking process can be started; the message says what to do."""


class RewardUnavailable(VerifierUnavailable):
    """A checking process cannot load what it is to compute: another one could not either."""


def _kill_all(children: list[Child]) -> None:
    while children:
        children.pop().kill()


class Pool:
    """Up to `workers` children, started when first needed and replaced when lost.

    Not thread-safe; the verifier holds a lock around it.
    """

    def __init__(self, workers: int, memory_mb: int, arguments: Sequence[str] = ()) -> None:
        """arguments: what the processes compute, as their command line has it."""
        self._workers = workers
        self._memory_mb = memory_mb
        self._arguments = arguments
        self._children: list[Child] = []
        self._size = 0
        self._lost = 0
        # Covers both garbage collection and the end of the interpreter.
        self._finalizer = weakref.finalize(self, _kill_all, self._children)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the children, those that are still starting included."""
        return tuple(child.pid for child in self._children)

    def hello(self) -> Mapping[str, Any]:
        """What the processes say of themselves when they have started.

        Raises VerifierUnavailable when they do not, RewardUnavailable where they never can.
        """
        self._size = max(self._size, 1)
        while not (greetings := [child.hello for child in self._children if child.hello]):
            self._fill()
            self._collect([])
        return greetings[0]

    def ask(self, requests: Sequence[Mapping[str, Any]], deadline_s: float) -> list[Reply]:
        """The reply to each request, in order.

        A request that passes the deadline is TIMEOUT, one whose process dies is KILLED; both cost
        that process, which is replaced. Raises what `hello` raises, also when processes die again
        and again while they have nothing to do.
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
            # Their replies would be taken for those of the next batch.
            for child in [child for child in self._children if child.job is not None]:
                self._drop(child)
            raise
        # Replacements load while the caller does something else.
        self._fill()
        return replies

    def close(self) -> None:
        """End all children."""
        self._size = 0
        _kill_all(self._children)

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
        """Wait for the next reply or the next deadline, and act on all that have come."""
        active = [child for child in self._children if child.job is not None or not child.hello]
        if not active:
            return
        poll = select.poll()
        for child in active:
            poll.register(child, select.POLLIN)
        earliest = min(child.due for child in active)
        poll.poll(max(0.0, earliest - time.monotonic()) * 1000 + 1)
        # Replies are read before the clock is asked: one that has arrived is in time.
        for child in active:
            try:
                reply = child.receive()
                if reply is not None:
                    self._accept(child, reply, replies)
                elif time.monotonic() >= child.due:
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
            raise ChildDied  # it speaks without being asked
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
        """Replace a child that was lost through no pair's fault, but not for ever."""
        self._drop(child)
        self._lost += 1
        if self._lost > _LOST_PER_WORKER * self._workers:
            raise VerifierUnavailable(
                f"{self._lost} checking processes in a row ended before they did any work; "
                "run `python -m conspo_study.reward.worker 1024` to see whether one starts, "
                "and look for a memory limit of the machine or container"
            )

    def _drop(self, child: Child) -> None:
        self._children.remove(child)
        child.kill()
