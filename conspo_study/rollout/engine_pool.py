"""The engine processes of one training worker: starts, updates, calls and replaces them.

The policies of a trial's seeds share the processes. Before sampling, every process involved must
hold the current weights of the requesting policy: the pool compares versions and sends the weights
where they differ. An answer names the version it was sampled from, and only the requested one is
accepted.

A process that dies, raises an error, or makes no progress for the length of the deadline is killed
and replaced once; the new process gets the current weights and the same requests with the same
seeds. The same holds for a process whose weights are incomplete. A second loss fails the trial.

A process works sequentially, so responses may be sampled while the trainer updates its weights and
be fetched later; calls in between wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from conspo_study.rollout.engine import PolicyWeights, Sampling
from conspo_study.rollout.responses import Response
from conspo_study.text import one_line

NO_WEIGHTS = ""
"""Version of an engine without weights."""
_POLL_S = 0.5
"""Interval between checks of the heartbeats, in seconds."""
_LOG_TAIL = 200
"""Characters of the log in the cause of a trial's failure."""
_LONGEST_CAUSE = 120
"""Characters of an error in the cause of a restart."""


class EngineFailed(RuntimeError):
    """The replacement of an engine process failed, too. One line, with the end of its log."""


class EngineProcess(Protocol):
    """An engine in another process, as seen by the trainer."""

    def call(self, method: str, *arguments: Any) -> Future[Any]:
        """Call a method of the engine, after all earlier calls have finished; returns immediately.

        The methods are those of `vllm_actor.VllmActor`. The future fails if the process dies.
        """
        ...

    def heartbeat(self) -> int:
        """A counter that changes while the process makes progress."""
        ...

    def log_tail(self) -> str:
        """The end of the process's log."""
        ...

    def end(self) -> None:
        """Kill the process; pending calls fail."""
        ...


class WeightChannel(Protocol):
    """A way of sending weights to engine processes."""

    def sending(
        self, weights: PolicyWeights, version: str, engines: Mapping[int, EngineProcess]
    ) -> AbstractContextManager[Mapping[int, Future[Any]]]:
        """Send the weights of this version to all engines; yields a future per engine.

        All futures must be done, or their engines lost, before the block ends.
        """
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt, and one seed for each response to it."""

    prompt: tuple[int, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The responses to a request."""

    updates: int
    """Optimiser steps applied to the weights that the responses were sampled from."""
    responses: list[Response]


@dataclass(slots=True)
class Pending:
    """Requests sent to engines, and the calls that will answer them."""

    weights: PolicyWeights
    requests: tuple[Request, ...]
    sampling: dict[str, Any]
    shares: dict[int, list[int]] = field(default_factory=dict)
    """By engine, the indices of requests that are not answered yet."""
    calls: dict[int, tuple[EngineProcess, Future[Any]]] = field(default_factory=dict)
    """By engine, the process and the call that will answer them."""
    version: str = NO_WEIGHTS
    updates: int = 0


@dataclass(slots=True)
class _Slot:
    """A position in the pool, occupied by one engine process at a time."""

    number: int
    process: EngineProcess | None = None
    holds: str = NO_WEIGHTS
    """The version of the weights in the process."""
    replaced: bool = False

    def clear(self) -> str:
        """Kill the process; returns the end of its log."""
        assert self.process is not None
        tail = self.process.log_tail()
        self.process.end()
        self.process, self.holds = None, NO_WEIGHTS
        return tail


class EnginePool:
    """A pool of `engines` processes, started on first use; not thread-safe.

    start: creates process number n without waiting for it. settings: passed to each engine's
    `start`. deadline_s: maximum time without progress, in seconds.
    """

    def __init__(
        self,
        start: Callable[[int], EngineProcess],
        settings: Mapping[str, Any],
        channel: WeightChannel,
        engines: int,
        deadline_s: float,
    ):
        self.settings = dict(settings)
        self._start, self._channel, self._deadline_s = start, channel, deadline_s
        self._slots = [_Slot(number) for number in range(engines)]
        self._restarts: list[str] = []
        self.sync_s = 0.0
        """Total seconds spent on sending weights."""

    def close(self) -> None:
        """Kill all processes."""
        for slot in self._slots:
            if slot.process is not None:
                slot.clear()

    def generate(
        self,
        weights: PolicyWeights,
        requests: Sequence[Request],
        sampling: Sampling,
        stops: Sequence[int],
    ) -> list[Answer]:
        """Sample the responses to each request, all from the current weights.

        stops: the tokens that end a response. Raises EngineFailed if a replaced process fails, too.
        """
        return self.fetch(self.begin(weights, requests, sampling, stops))

    def begin(
        self,
        weights: PolicyWeights,
        requests: Sequence[Request],
        sampling: Sampling,
        stops: Sequence[int],
    ) -> Pending:
        """Start `generate`, for `fetch` to finish; the weights may change when this returns.

        Later calls of the pool are executed after these requests.
        """
        plain = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_new_tokens": sampling.max_new_tokens,
            "stops": list(stops),
        }
        pending = Pending(weights, tuple(requests), plain)
        shares = {
            slot.number: list(range(slot.number, len(requests), len(self._slots)))
            for slot in self._slots
        }
        self._send(pending, {number: share for number, share in shares.items() if share})
        return pending

    def fetch(self, pending: Pending) -> list[Answer]:
        """Wait for the answers to `pending`.

        Answers lost with a process are sampled by its replacement, from the weights at that time.
        """
        answers: dict[int, Answer] = {}
        while pending.shares:
            done, waiting = {}, {}
            for number, (process, call) in pending.calls.items():
                if _succeeded(call):
                    done[number] = call.result()
                elif self._slots[number].process is process:  # else it was already replaced
                    waiting[number] = call
            for number, answer in (done | self._answers(waiting, "generating")).items():
                slot = self._slots[number]
                if answer["version"] == pending.version:
                    for request, responses in zip(
                        pending.shares.pop(number), answer["responses"], strict=True
                    ):
                        answers[request] = Answer(pending.updates, responses)
                elif slot.process is pending.calls[number][0]:
                    problem = f"wrong weights {answer['version']!r}, expected {pending.version!r}"
                    self._lost(slot, "generating", RuntimeError(problem))
            if pending.shares:
                self._send(pending, pending.shares)
        return [answers[request] for request in range(len(pending.requests))]

    def _send(self, pending: Pending, shares: dict[int, list[int]]) -> None:
        """Request these shares from the engines, with the current weights."""
        pending.shares, pending.updates = shares, pending.weights.updates()
        pending.version = _version(pending.weights)
        slots = [self._slots[number] for number in shares]
        self._bring_up(slots, pending.weights, pending.version)
        pending.calls = {
            number: (
                self._process(number),
                self._call(
                    number,
                    "generate",
                    [pending.requests[r].prompt for r in share],
                    [pending.requests[r].seeds for r in share],
                    pending.sampling,
                ),
            )
            for number, share in shares.items()
        }

    def rest(self) -> None:
        """Release the memory of a GPU that the processes share with the trainer.

        It includes the weights, which are sent again before the next use.
        """
        awake = [slot for slot in self._slots if slot.holds != NO_WEIGHTS]
        for slot in awake:
            slot.holds = NO_WEIGHTS
        self._answers({slot.number: self._call(slot.number, "sleep") for slot in awake}, "resting")

    def take_restarts(self) -> list[str]:
        """The causes of replacements since the last call, one line each."""
        restarts, self._restarts = self._restarts, []
        return restarts

    def _bring_up(self, slots: Sequence[_Slot], weights: PolicyWeights, version: str) -> None:
        """Start missing processes and send weights until all `slots` hold this version."""
        while behind := [slot for slot in slots if slot.holds != version]:
            self._start_missing(behind)
            ready = {slot.number: slot.process for slot in behind if slot.process is not None}
            start = time.perf_counter()
            with self._channel.sending(weights, version, ready) as calls:
                loaded = self._answers(calls, "loading weights", in_turn=True)
            self.sync_s += time.perf_counter() - start
            for number in loaded:
                self._slots[number].holds = version

    def _start_missing(self, slots: Sequence[_Slot]) -> None:
        missing = [slot for slot in slots if slot.process is None]
        if not missing:
            return
        for slot in missing:
            slot.process = self._start(slot.number)
        calls = {slot.number: self._call(slot.number, "start", self.settings) for slot in missing}
        self._answers(calls, "starting")

    def _call(self, number: int, method: str, *arguments: Any) -> Future[Any]:
        return self._process(number).call(method, *arguments)

    def _process(self, number: int) -> EngineProcess:
        process = self._slots[number].process
        assert process is not None
        return process

    def _answers(
        self, calls: Mapping[int, Future[Any]], activity: str, in_turn: bool = False
    ) -> dict[int, Any]:
        """Wait for calls; returns results by engine, without engines lost meanwhile.

        activity: for messages. in_turn: engines may wait for each other, so the progress of one
        resets the deadline of all.
        """
        answers: dict[int, Any] = {}
        waiting = dict(calls)
        beats = {number: (self._process(number).heartbeat(), time.monotonic()) for number in calls}
        while waiting:
            wait(waiting.values(), timeout=_POLL_S, return_when=FIRST_COMPLETED)
            for number, call in list(waiting.items()):
                slot = self._slots[number]
                if call.done():
                    del waiting[number]
                    try:
                        answers[number] = call.result()
                    except Exception as error:  # anything raised in the process or by its death
                        self._lost(slot, activity, error)
                    continue
                beat, now = self._process(number).heartbeat(), time.monotonic()
                if beat != beats[number][0]:
                    beats[number] = (beat, now)
                    if in_turn:
                        beats = {other: (last, now) for other, (last, _) in beats.items()}
                elif now - beats[number][1] > self._deadline_s:
                    del waiting[number]
                    timeout = TimeoutError(f"no progress for {self._deadline_s:g} s")
                    self._lost(slot, activity, timeout)
        return answers

    def _lost(self, slot: _Slot, activity: str, error: Exception) -> None:
        """Kill a failed engine and record the cause. Raises EngineFailed the second time."""
        tail = slot.clear()
        cause = f"engine {slot.number} was lost while {activity}: {_described(error)}"
        if slot.replaced:
            ending = " | ".join(tail.split("\n"))[-_LOG_TAIL:]
            raise EngineFailed(f"{cause}, again. Its log ends: {ending or '(empty)'}") from error
        slot.replaced = True
        self._restarts.append(cause)


def _succeeded(call: Future[Any]) -> bool:
    return call.done() and not call.cancelled() and call.exception() is None


def _version(weights: PolicyWeights) -> str:
    return f"{weights.policy}:{weights.updates()}"


def _described(error: BaseException) -> str:
    """Type and message of an error; of one raised in another process, those of the original."""
    original = getattr(error, "cause", None)  # Ray's message is the whole traceback
    error = original if isinstance(original, BaseException) else error
    kind, message = type(error).__name__, one_line(error)
    return kind if message == kind else f"{kind}: {message[:_LONGEST_CAUSE]}"
