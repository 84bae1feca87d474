"""Sampled tokens as the rollouts that the other stages see, whichever engine drew them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from conspo_study.records import FinishStatus, Rollout

Response = tuple[Sequence[int], Sequence[float]]
"""Tokens, the end-of-sequence token included where there is one, and their log-probabilities."""


def as_rollouts(
    responses: Sequence[Sequence[Response]], tokenizer: Any, updates: int
) -> list[tuple[Rollout, ...]]:
    """The responses to each prompt as rollouts of weights that have been updated so often."""
    eos = tokenizer.eos_token_id
    texts = iter(
        tokenizer.batch_decode(
            [list(tokens) for tokens, _ in chain(*responses)], skip_special_tokens=True
        )
    )
    return [
        tuple(
            Rollout(
                tokens=tuple(tokens),
                logprobs=tuple(logprobs),
                status=FinishStatus.STOPPED if tokens[-1] == eos else FinishStatus.TRUNCATED,
                text=next(texts),
                weights_version=updates,
            )
            for tokens, logprobs in group
        )
        for group in responses
    ]
