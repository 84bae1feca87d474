"""Generation by vLLM engines, which run in other processes and are sent the weights.

Each response has its own random generator, so the random numbers of response g to prompt p depend
on `seeds[p]` and g alone. They are compared with probabilities whose rounding depends on the batch:
very rarely another token is sampled, and the response continues differently, with the
log-probabilities of what was sampled. The transformers engine samples another response from the
same seed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from conspo_study.records import Rollout
from conspo_study.rollout.engine import Draw, PolicyWeights, PromptRefused, Sampling
from conspo_study.rollout.engine_pool import EnginePool, Pending, Request
from conspo_study.rollout.responses import as_rollouts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class VllmEngine:
    """A `RolloutEngine` for one policy, on a pool that several policies may share."""

    def __init__(
        self,
        pool: EnginePool,
        weights: PolicyWeights,
        tokenizer: PreTrainedTokenizerBase,
        stop_ids: Sequence[int] | None = None,
    ) -> None:
        """stop_ids: tokens that end a response, by default the tokenizer's end-of-sequence token;
        if empty, only the limit ends it."""
        self._pool, self._weights, self._tokenizer = pool, weights, tokenizer
        self._stops = tuple((tokenizer.eos_token_id,) if stop_ids is None else stop_ids)
        self._longest: int = pool.settings["max_length"]

    def generate(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Rollout, ...]]:
        """See `RolloutEngine`. Raises EngineFailed if an engine and its replacement failed, and
        FloatingPointError for non-finite logits."""
        return self._fetch(self._ask(prompts, n, sampling, seeds))

    def begin(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> Draw:
        """See `RolloutEngine`; this call and the returned one raise the errors of `generate`."""
        pending = self._ask(prompts, n, sampling, seeds)
        if self._pool.settings["sleeps"]:  # the trainer uses the GPU as soon as this returns
            drawn = self._fetch(pending)
            return lambda: drawn
        return lambda: self._fetch(pending)

    def _ask(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> Pending:
        longest = max(map(len, prompts), default=0) + sampling.max_new_tokens
        if longest > self._longest:
            raise PromptRefused(
                f"a prompt with its response may have {longest} tokens, but the vLLM engine "
                f"supports at most {self._longest} (by the model's positions or the settings): "
                "lower max_new_tokens of rollout or evaluation, or data.max_prompt_tokens"
            )
        requests = [
            Request(tuple(prompt), tuple(_response_seed(seed, g) for g in range(n)))
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        return self._pool.begin(self._weights, requests, sampling, self._stops)

    def _fetch(self, pending: Pending) -> list[tuple[Rollout, ...]]:
        answers = self._pool.fetch(pending)
        responses = [answer.responses for answer in answers]
        if not all(math.isfinite(p) for group in responses for _, logp in group for p in logp):
            raise FloatingPointError("the policy's logits are not finite")
        updates = [answer.updates for answer in answers]
        return as_rollouts(responses, self._tokenizer, self._stops, updates)

    def rest(self) -> None:
        """See `RolloutEngine`."""
        if self._pool.settings["sleeps"]:
            self._pool.rest()

    def sync_s(self) -> float:
        """See `RolloutEngine`."""
        return self._pool.sync_s

    def take_restarts(self) -> list[str]:
        """See `RolloutEngine`."""
        return self._pool.take_restarts()


def _response_seed(seed: int, g: int) -> int:
    """The seed of response g. torch's CPU generator reads only the low 32 bits of a seed, so all
    bits are hashed into them."""
    digest = hashlib.blake2b(f"{seed}:{g}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
