"""The interface of generation engines, all of which pass the same tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from conspo_study.records import Rollout

if TYPE_CHECKING:
    from torch import Tensor


class PromptRefused(ValueError):
    """A prompt that the model cannot continue up to the response limit; a retry would not help."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """The distribution that responses are drawn from."""

    temperature: float
    """Sampling temperature; 0 takes the most likely token and reports its log-probability at
    temperature 1."""
    max_new_tokens: int
    """Maximum response length in tokens; a longer response is truncated."""
    top_p: float = 1.0
    """Nucleus sampling: sample from the fewest tokens whose total probability reaches it; 1:
    all."""

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.max_new_tokens < 1:
            raise ValueError(
                "sampling needs temperature >= 0, 0 < top_p <= 1 and max_new_tokens >= 1, "
                f"got {self}"
            )


@dataclass(frozen=True, slots=True)
class PolicyWeights:
    """Access to the current weights of one policy, for engines that hold a copy.

    An engine compares versions whenever it samples, so it needs no notice of updates.
    """

    policy: str
    """Name that distinguishes the policies sharing an engine."""
    updates: Callable[[], int]
    """Returns the number of optimiser steps applied to the weights so far."""
    tensors: Callable[[], Iterable[tuple[str, Tensor]]]
    """Returns the current tensors, under their names in the model's checkpoints."""


Draw = Callable[[], list[tuple[Rollout, ...]]]
"""Waits for requested responses and returns them; to be called once."""


class RolloutEngine(Protocol):
    """Samples responses from the policy's current weights."""

    def generate(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Rollout, ...]]:
        """Sample `n` responses to each prompt, with one seed per prompt.

        Response g to prompt p depends only on the weights, the prompt, the sampling, `seeds[p]` and
        g, up to rounding: not on other prompts, their order or batching. Each response carries the
        number of optimiser steps applied to the weights it was sampled from. Raises PromptRefused.
        """
        ...

    def begin(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> Draw:
        """Start `generate` with the current weights; the result waits for the responses.

        Returns as soon as the weights may change: for an engine without its own device, when all
        responses are sampled. The engine may be used before the responses are fetched. The
        responses of a process lost meanwhile come from the weights at the time of fetching.
        """
        ...

    def rest(self) -> None:
        """Release the memory of a GPU shared with the trainer; called before the trainer
        computes."""
        ...

    def sync_s(self) -> float:
        """Total seconds spent on sending weights to engine processes."""
        ...

    def take_restarts(self) -> list[str]:
        """The causes of engine restarts since the last call, one line each."""
        ...
