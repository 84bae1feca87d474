"""A fixed number of checking processes, each killed when its pair takes too long."""

from __future__ import annotations

import select
import time
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

from conspo_study.records import Verdict
from conspo_study.reward.child import Child, ChildDied

_LOST_PER_WORKER = 3


class VerifierUnavailable(RuntimeError):
    """No checking process can be started; the message says what to do."""


def _kill_all(children: list[Child]) -> None:
    while children:
        children.pop().kill()


class Pool:
    """Up to `workers` children, started when first needed and replaced when lost.

    Not thread-safe; the verifier holds a lock around it.
    """

    def __init__(self, workers: int, deadline_s: float, memory_mb: int) -> None:
        self._workers = workers
        self._deadline_s = deadline_s
        self._memory_mb = memory_mb
        self._children: list[Child] = []
        self._size = 0
        self._lost = 0
        # Covers both garbage collection and the end of the interpreter.
        self._finalizer = weakref.finalize(self, _kill_all, self._children)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the children, those that are still starting included."""
        return tuple(child.pid for child in self._children)

    def check(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        """The verdict on each (gold, answer) of `pairs`, in order.

        A pair that passes the deadline is TIMEOUT, one whose process dies is KILLED; both cost that
        process, which is replaced. Raises VerifierUnavailable when processes do not start or die
        again and again while they have nothing to do.
        """
        verdicts = [Verdict.KILLED] * len(pairs)
        waiting = deque(range(len(pairs)))
        self._size = max(self._size, min(self._workers, len(pairs)))
        try:
            while waiting or any(child.job is not None for child in self._children):
                self._fill()
                self._assign(waiting, pairs)
                self._collect(verdicts)
        except BaseException:
            # Their replies would be taken for those of the next batch.
            for child in [child for child in self._children if child.job is not None]:
                self._drop(child)
            raise
        # Replacements load while the caller does something else.
        self._fill()
        return verdicts

    def close(self) -> None:
        """End all children."""
        self._size = 0
        _kill_all(self._children)

    def _fill(self) -> None:
        while len(self._children) < self._size:
            self._children.append(Child(self._deadline_s, self._memory_mb))

    def _assign(self, waiting: deque[int], pairs: Sequence[tuple[str, str]]) -> None:
        for child in list(self._children):
            if not waiting:
                return
            if child.ready and child.job is None:
                try:
                    child.send(waiting[0], *pairs[waiting[0]])
                except OSError:
                    self._lose_idle(child)
                else:
                    waiting.popleft()

    def _collect(self, verdicts: list[Verdict]) -> None:
        """Wait for the next reply or the next deadline, and act on all that have come."""
        active = [child for child in self._children if child.job is not None or not child.ready]
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
                    self._accept(child, reply, verdicts)
                elif time.monotonic() >= child.due:
                    self._lose(child, Verdict.TIMEOUT, verdicts)
            except (ChildDied, KeyError, ValueError):
                self._lose(child, Verdict.KILLED, verdicts)

    def _accept(self, child: Child, reply: dict[str, Any], verdicts: list[Verdict]) -> None:
        if "error" in reply:
            raise VerifierUnavailable(
                f"math-verify does not load in a checking process ({reply['error']}); "
                "install the project's dependencies, then check `python -c 'import math_verify'`"
            )
        if child.job is None:
            child.ready = True
            return
        verdicts[child.job] = Verdict(reply["verdict"])
        child.job = None
        self._lost = 0
        if reply["last"]:
            self._drop(child)

    def _lose(self, child: Child, verdict: Verdict, verdicts: list[Verdict]) -> None:
        if child.job is None:
            self._lose_idle(child)
        else:
            verdicts[child.job] = verdict
            self._drop(child)

    def _lose_idle(self, child: Child) -> None:
        """Replace a child that was lost through no pair's fault, but not for ever."""
        self._drop(child)
        self._lost += 1
        if self._lost > _LOST_PER_WORKER * self._workers:
            raise VerifierUnavailable(
                f"{self._lost} checking processes in a row ended before they did any work; "
                "run `python -m conspo_study.reward.worker 5 1024` to see whether one starts, "
                "and look for a memory limit of the machine or container"
            )

    def _drop(self, child: Child) -> None:
        self._children.remove(child)
        child.kill()
