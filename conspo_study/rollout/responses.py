"""Sampled tokens as the rollouts that the other stages see, whichever engine drew them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import chain
from typing import Any

from conspo_study.records import FinishStatus, Rollout

Response = tuple[Sequence[int], Sequence[float]]
"""Tokens, the one that ended the response included where there is one, and their
log-probabilities."""


def as_rollouts(
    responses: Sequence[Sequence[Response]],
    tokenizer: Any,
    stops: Container[int],
    updates: Sequence[int],
) -> list[tuple[Rollout, ...]]:
    """The responses to each prompt as rollouts of weights that have been updated so often.

    stops: the tokens that end a response; they need not be special, and are no part of its text.
    updates: one number per prompt.
    """
    said = [list(tokens[:-1] if tokens[-1] in stops else tokens) for tokens, _ in chain(*responses)]
    texts = iter(tokenizer.batch_decode(said, skip_special_tokens=True))
    return [
        tuple(
            Rollout(
                tokens=tuple(tokens),
                logprobs=tuple(logprobs),
                status=FinishStatus.STOPPED if tokens[-1] in stops else FinishStatus.TRUNCATED,
                text=next(texts),
                weights_version=version,
            )
            for tokens, logprobs in group
        )
        for group, version in zip(responses, updates, strict=True)
    ]
