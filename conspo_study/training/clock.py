"""The time of a training step by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from conspo_study.update.device import CPU, wait_for

STAGES = (
    *("generate", "reward", "wait", "score", "objective", "backward", "sync", "optimizer"),
    "other",
)
"""Stages of a training step, in their order; their seconds add up to the step's."""


class Clock:
    """Seconds by stage. A stage that runs inside another one is not part of it.

    device: that the stages compute on. A stage ends when the device has done its work, so that a
    GPU's seconds count in the stage that asked for them, not in a later one that waits for them.
    """

    def __init__(self, device: torch.device = CPU) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self._running: list[str | None] = []
        self._since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block as that of stage `name`."""
        with self._entered(name):
            yield

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Leave out the time of the block, which another clock counts."""
        with self._entered(None):
            yield

    @contextmanager
    def _entered(self, name: str | None) -> Iterator[None]:
        self._count()
        self._running.append(name)
        try:
            yield
        finally:
            self._count()
            self._running.pop()

    def move(self, seconds: float, source: str, target: str) -> None:
        """Count `seconds` of stage `source` as stage `target` instead."""
        self._add(source, -seconds)
        self._add(target, seconds)

    def include(self, other: Clock) -> None:
        """Add the seconds of another clock."""
        for name, seconds in other.seconds.items():
            self._add(name, seconds)

    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())

    def metrics(self) -> dict[str, float]:
        """The seconds as metrics `time/STAGE_s`."""
        return {f"time/{name}_s": seconds for name, seconds in self.seconds.items()}

    def _count(self) -> None:
        wait_for(self.device)
        now = time.perf_counter()
        name = self._running[-1] if self._running else None
        if name is not None:
            self._add(name, now - self._since)
        self._since = now

    def _add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
