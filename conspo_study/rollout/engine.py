"""What a generation engine must do; every engine passes the same tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from conspo_study.records import Rollout


class PromptRefused(ValueError):
    """A prompt that the model cannot continue as far as it should; another try would not help."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """The distribution that responses are drawn from."""

    temperature: float
    """0 takes the most likely token, whose log-probability is then that at temperature 1."""
    max_new_tokens: int
    """Response limit in tokens; a response that reaches it is truncated."""
    top_p: float = 1.0
    """Nucleus: sample from the fewest tokens whose probability reaches it, 1 for all tokens."""

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.max_new_tokens < 1:
            raise ValueError(
                "sampling needs temperature >= 0, 0 < top_p <= 1 and max_new_tokens >= 1, "
                f"but got {self}"
            )


@dataclass(frozen=True, slots=True)
class PolicyWeights:
    """The current weights of one policy, for engines that hold a copy of them.

    An engine asks whenever it samples, so nobody has to tell it that the weights have moved.
    """

    policy: str
    """Tells the policies that share an engine apart."""
    updates: Callable[[], int]
    """Optimiser steps that have been applied to the weights as they are now."""
    tensors: Callable[[], Iterable[tuple[str, Any]]]
    """The tensors as they are now, under the names that the model's checkpoints use."""


Draw = Callable[[], list[tuple[Rollout, ...]]]
"""Waits for responses that have been asked for. To be called once."""


class RolloutEngine(Protocol):
    """Draws responses from the policy's current weights."""

    def generate(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Rollout, ...]]:
        """`n` responses to each prompt, with one seed per prompt.

        Response g to prompt p depends on the weights, the prompt, the sampling, `seeds[p]` and g
        alone, up to rounding: not on the other prompts, their order or how they are batched. Each
        response carries the number of optimiser steps behind the weights that drew it.
        """
        ...

    def begin(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> Draw:
        """Ask for what `generate` returns, from the weights as they are now, and go on.

        Returns as soon as the weights may change again, which is when all is drawn where the engine
        has no device of its own. The engine may be used for other things in between. Where a
        process is lost meanwhile, its responses are of the weights of when they are fetched.
        """
        ...

    def rest(self) -> None:
        """Told before the trainer computes; an engine that shares its GPU gives back the memory."""
        ...

    def sync_s(self) -> float:
        """Seconds spent so far on handing weights to engine processes."""
        ...

    def take_restarts(self) -> list[str]:
        """What made an engine process start again since the last call, one line each."""
        ...
