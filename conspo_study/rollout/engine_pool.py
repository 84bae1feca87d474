"""The engine processes of one training worker: started, given weights, asked, and replaced.

The policies of a trial's seeds share the processes. Before anything is sampled, every process that
takes part holds exactly the weights of the policy that asks, whoever asked before and whatever the
trainer has done since: the pool compares names, and sends the weights where they differ. An answer
says which weights it was drawn from, and none is accepted from others.

A process that dies, raises, or gives no sign of life for the length of the deadline is ended and
replaced once; the new one gets the current weights and the same requests with the same seeds. So
does one whose weights were not replaced as a whole: what it holds then, nobody knows. The second
time is the end of the trial.

A process does one thing after the other. So answers may be left to be drawn while the trainer's
weights move on, and be fetched later: what comes in between waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from conspo_study.rollout.engine import PolicyWeights, Sampling
from conspo_study.rollout.responses import Response

NO_WEIGHTS = ""
"""What an engine holds before it has been sent any, or after they have been lost."""
_LOOK_S = 0.5
"""Between two looks for signs of life."""
_LAST_WORDS = 200
"""Characters of a log that fit into the cause of a trial's failure."""


class EngineFailed(RuntimeError):
    """An engine process was lost again after it had been replaced. One line, with its log's end."""


class EngineProcess(Protocol):
    """An engine in a process of its own, seen from the trainer."""

    def call(self, method: str, *arguments: Any) -> Future[Any]:
        """Have the process do something, after all that it has been asked before; returns at once.

        The methods are those of `vllm_actor.VllmActor`. The future fails when the process is gone.
        """
        ...

    def heartbeat(self) -> int:
        """A number that changes while the process makes progress."""
        ...

    def last_words(self) -> str:
        """The end of the process's log."""
        ...

    def end(self) -> None:
        """Kill the process; what it has been asked fails."""
        ...


class WeightChannel(Protocol):
    """How weights get into the engine processes."""

    def sending(
        self, weights: PolicyWeights, version: str, engines: Mapping[int, EngineProcess]
    ) -> AbstractContextManager[Mapping[int, Future[Any]]]:
        """Have all engines load the weights under this version; yields when each has done so.

        The engines must have answered, or be gone, before the block ends.
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
    """Optimiser steps behind the weights that drew them."""
    responses: list[Response]


@dataclass(slots=True)
class Asked:
    """What engines have been asked for, and by which calls."""

    weights: PolicyWeights
    requests: tuple[Request, ...]
    sampling: dict[str, Any]
    shares: dict[int, list[int]] = field(default_factory=dict)
    """By engine, the requests whose answers are still to come."""
    calls: dict[int, tuple[EngineProcess, Future[Any]]] = field(default_factory=dict)
    """By engine, the call that brings them, and the process that it was made to."""
    version: str = NO_WEIGHTS
    updates: int = 0


@dataclass(slots=True)
class _Slot:
    """The place of an engine process."""

    number: int
    process: EngineProcess | None = None
    holds: str = NO_WEIGHTS
    """The version of the weights in the process."""
    replaced: bool = False

    def lose(self) -> str:
        """End the process; the end of its log."""
        assert self.process is not None
        words = self.process.last_words()
        self.process.end()
        self.process, self.holds = None, NO_WEIGHTS
        return words


class EnginePool:
    """`engines` processes, started when first needed; not for several threads.

    start: makes process number n, which need not be up yet. settings: passed to each process's
    `start`. deadline_s: longest time without a sign of life.
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
        """Seconds that sending weights has taken so far."""

    def close(self) -> None:
        """End all processes."""
        for slot in self._slots:
            if slot.process is not None:
                slot.lose()

    def generate(
        self,
        weights: PolicyWeights,
        requests: Sequence[Request],
        sampling: Sampling,
        stops: Sequence[int],
    ) -> list[Answer]:
        """The responses to each request, all drawn from the weights as they are now.

        stops: the tokens that end a response. Raises EngineFailed when a process was lost for the
        second time.
        """
        return self.fetch(self.begin(weights, requests, sampling, stops))

    def begin(
        self,
        weights: PolicyWeights,
        requests: Sequence[Request],
        sampling: Sampling,
        stops: Sequence[int],
    ) -> Asked:
        """Ask for what `generate` returns; the weights may change when this returns.

        Whatever the pool is asked for before the answers are fetched comes after them.
        """
        plain = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_new_tokens": sampling.max_new_tokens,
            "stops": list(stops),
        }
        asked = Asked(weights, tuple(requests), plain)
        shares = {
            slot.number: list(range(slot.number, len(requests), len(self._slots)))
            for slot in self._slots
        }
        self._ask(asked, {number: share for number, share in shares.items() if share})
        return asked

    def fetch(self, asked: Asked) -> list[Answer]:
        """Wait for what was asked for.

        What a lost process owes is drawn by its replacement, from the weights as they are then.
        """
        answers: dict[int, Answer] = {}
        while asked.shares:
            found, waiting = {}, {}
            for number, (process, call) in asked.calls.items():
                if _succeeded(call):
                    found[number] = call.result()
                elif self._slots[number].process is process:  # or its loss has been dealt with
                    waiting[number] = call
            for number, answer in (found | self._answers(waiting, "generating")).items():
                slot = self._slots[number]
                if answer["version"] == asked.version:
                    for request, responses in zip(
                        asked.shares.pop(number), answer["responses"], strict=True
                    ):
                        answers[request] = Answer(asked.updates, responses)
                elif slot.process is asked.calls[number][0]:
                    what = f"it answered with weights {answer['version']!r}, not {asked.version!r}"
                    self._lost(slot, "generating", RuntimeError(what))
            if asked.shares:
                self._ask(asked, asked.shares)
        return [answers[request] for request in range(len(asked.requests))]

    def _ask(self, asked: Asked, shares: dict[int, list[int]]) -> None:
        """Have the engines draw these shares from the weights as they are now."""
        asked.shares, asked.updates = shares, asked.weights.updates()
        asked.version = _version(asked.weights)
        self._bring_up([self._slots[number] for number in shares], asked.weights, asked.version)
        asked.calls = {
            number: (
                self._process(number),
                self._call(
                    number,
                    "generate",
                    [asked.requests[r].prompt for r in share],
                    [asked.requests[r].seeds for r in share],
                    asked.sampling,
                ),
            )
            for number, share in shares.items()
        }

    def rest(self) -> None:
        """Have the processes give back the memory of a GPU that they share with the trainer.

        They keep no weights then, and are sent them again when they are next needed.
        """
        awake = [slot for slot in self._slots if slot.holds != NO_WEIGHTS]
        for slot in awake:
            slot.holds = NO_WEIGHTS
        self._answers({slot.number: self._call(slot.number, "sleep") for slot in awake}, "resting")

    def take_restarts(self) -> list[str]:
        """Why processes were replaced since the last call, one line each."""
        restarts, self._restarts = self._restarts, []
        return restarts

    def _bring_up(self, slots: Iterable[_Slot], weights: PolicyWeights, version: str) -> None:
        """Return when all of `slots` hold this version of the weights."""
        while behind := [slot for slot in slots if slot.holds != version]:
            self._start_missing(behind)
            ready = {slot.number: slot.process for slot in behind if slot.process is not None}
            start = time.perf_counter()
            with self._channel.sending(weights, version, ready) as calls:
                loaded = self._answers(calls, "loading weights", in_turn=True)
            self.sync_s += time.perf_counter() - start
            for number in loaded:
                self._slots[number].holds = version

    def _start_missing(self, slots: Iterable[_Slot]) -> None:
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
        self, calls: Mapping[int, Future[Any]], what: str, in_turn: bool = False
    ) -> dict[int, Any]:
        """The answers by engine; engines that are lost meanwhile are left out.

        in_turn: an engine may have to wait for the others, one of which must show life.
        """
        answers: dict[int, Any] = {}
        waiting = dict(calls)
        lives = {number: (self._process(number).heartbeat(), time.monotonic()) for number in calls}
        while waiting:
            wait(waiting.values(), timeout=_LOOK_S, return_when=FIRST_COMPLETED)
            for number, call in list(waiting.items()):
                slot = self._slots[number]
                if call.done():
                    del waiting[number]
                    try:
                        answers[number] = call.result()
                    except Exception as error:  # whatever ended the process, or was raised in it
                        self._lost(slot, what, error)
                    continue
                beat, now = self._process(number).heartbeat(), time.monotonic()
                if beat != lives[number][0]:
                    lives[number] = (beat, now)
                    if in_turn:
                        lives = {other: (last, now) for other, (last, _) in lives.items()}
                elif now - lives[number][1] > self._deadline_s:
                    del waiting[number]
                    silence = f"no sign of life for {self._deadline_s:g} s"
                    self._lost(slot, what, TimeoutError(silence))
        return answers

    def _lost(self, slot: _Slot, what: str, error: Exception) -> None:
        """End an engine that cannot be relied on. Raises EngineFailed the second time."""
        words = slot.lose()
        cause = f"engine {slot.number} was lost while {what}: {_one_line(error)}"
        if slot.replaced:
            ending = " | ".join(words.split("\n"))[-_LAST_WORDS:]
            raise EngineFailed(f"{cause}, again. Its log ends: {ending or '(empty)'}") from error
        slot.replaced = True
        self._restarts.append(cause)


def _succeeded(call: Future[Any]) -> bool:
    return call.done() and not call.cancelled() and call.exception() is None


def _version(weights: PolicyWeights) -> str:
    return f"{weights.policy}:{weights.updates()}"


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # An error that was raised in another process says its own message last.
    return f"{type(error).__name__}: {lines[-1][:120]}" if lines else type(error).__name__
