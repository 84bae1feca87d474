"""Converts sampled tokens of any engine into rollouts."""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from conspo_study.records import FinishStatus, Rollout

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Response = tuple[Sequence[int], Sequence[float]]
"""Tokens, including the stop token if there is one, and their log-probabilities (nats)."""


def as_rollouts(
    responses: Sequence[Sequence[Response]],
    tokenizer: PreTrainedTokenizerBase,
    stops: Container[int],
    updates: Sequence[int],
) -> list[tuple[Rollout, ...]]:
    """The responses to each prompt as rollouts.

    stops: the tokens that end a response; they need not be special tokens and are not part of its
    text. updates: for each prompt, the optimiser steps applied to the weights it was sampled from.
    """
    spoken = [
        list(tokens[:-1] if tokens[-1] in stops else tokens) for tokens, _ in chain(*responses)
    ]
    texts = iter(tokenizer.batch_decode(spoken, skip_special_tokens=True))
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
