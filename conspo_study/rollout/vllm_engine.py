"""Generation by vLLM engines, which run in processes of their own and are sent the weights.

What vLLM promises about seeds: each response has a generator of its own, so that the random numbers
of response g to prompt p come from `seeds[p]` and g alone. They are compared with probabilities
whose rounding depends on the batch: very rarely a token falls on the other side of a boundary, and
the response continues differently. Its log-probabilities are then those of what was drawn. The
transformers engine draws another response from the same seed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

from conspo_study.records import Rollout
from conspo_study.rollout.engine import Draw, PolicyWeights, PromptRefused, Sampling
from conspo_study.rollout.engine_pool import Asked, EnginePool, Request
from conspo_study.rollout.responses import as_rollouts


class VllmEngine:
    """A `RolloutEngine` for one policy, on a pool that other policies may use in turn."""

    def __init__(
        self,
        pool: EnginePool,
        weights: PolicyWeights,
        tokenizer: Any,
        stop_ids: Sequence[int] | None = None,
    ) -> None:
        """`stop_ids` end a response, by default the tokenizer's end-of-sequence token alone; where
        there are none, only the limit does."""
        self._pool, self._weights, self._tokenizer = pool, weights, tokenizer
        self._stops = tuple((tokenizer.eos_token_id,) if stop_ids is None else stop_ids)
        self._longest: int = pool.settings["max_length"]

    def generate(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Rollout, ...]]:
        """See `RolloutEngine`. Raises PromptRefused when a response may become too long for the
        engine, EngineFailed when an engine was lost and its replacement, too, and
        FloatingPointError when the policy's logits are not numbers."""
        return self._fetch(self._ask(prompts, n, sampling, seeds))

    def begin(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> Draw:
        """See `RolloutEngine`; both halves raise what `generate` raises."""
        asked = self._ask(prompts, n, sampling, seeds)
        if self._pool.settings["sleeps"]:  # the GPU is the trainer's as soon as this returns
            drawn = self._fetch(asked)
            return lambda: drawn
        return lambda: self._fetch(asked)

    def _ask(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> Asked:
        longest = max(map(len, prompts), default=0) + sampling.max_new_tokens
        if longest > self._longest:
            raise PromptRefused(
                f"a prompt with its response may take {longest} tokens, the vLLM engine holds "
                f"{self._longest}, as many as the model has positions or the settings ask for: "
                "lower max_new_tokens of rollout or evaluation, or data.max_prompt_tokens"
            )
        requests = [
            Request(tuple(prompt), tuple(_response_seed(seed, g) for g in range(n)))
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        return self._pool.begin(self._weights, requests, sampling, self._stops)

    def _fetch(self, asked: Asked) -> list[tuple[Rollout, ...]]:
        answers = self._pool.fetch(asked)
        responses = [answer.responses for answer in answers]
        if not all(math.isfinite(p) for group in responses for _, logp in group for p in logp):
            raise FloatingPointError("the policy's logits are not finite")
        updates = [answer.updates for answer in answers]
        return as_rollouts(responses, self._tokenizer, self._stops, updates)

    def rest(self) -> None:
        """Give back the memory of a shared GPU."""
        if self._pool.settings["sleeps"]:
            self._pool.rest()

    def sync_s(self) -> float:
        """See `RolloutEngine`."""
        return self._pool.sync_s

    def take_restarts(self) -> list[str]:
        """See `RolloutEngine`."""
        return self._pool.take_restarts()


def _response_seed(seed: int, g: int) -> int:
    """Of response g. torch's CPU generator reads the low 32 bits of a seed only: so all are mixed
    into these."""
    digest = hashlib.blake2b(f"{seed}:{g}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
