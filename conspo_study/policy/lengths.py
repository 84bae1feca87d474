"""The longest sequence that a model reads as it was trained to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len")
_CHANGING = ("dynamic", "longrope")
"""Rotary embeddings that turn all tokens of a batch differently once its longest row is beyond a
limit, so that log-probabilities and gradients would depend on what is computed together."""
_STRETCHING = ("linear", "yarn")
"""Rotary embeddings with a factor by which they read more than they were first trained on."""


class Limit(NamedTuple):
    """A number of tokens that prompt and response together must not pass."""

    tokens: int
    why: str
    """What sets it, as the subject of a sentence's end: `the model has 128 positions`."""


def longest_sequence(config: Any) -> Limit | None:
    """The tightest limit of a model, from its transformers configuration; None without any."""
    limits = [*_positions(config.get_text_config()), *_rotations(config.get_text_config())]
    return min(limits, key=lambda limit: limit.tokens, default=None)


def _positions(config: Any) -> Iterator[Limit]:
    stated = next((n for n in (getattr(config, name, None) for name in _POSITIONS) if n), None)
    if not isinstance(stated, int) or isinstance(stated, bool):
        return
    stretched = [_stretched(rope, stated) for rope in _ropes(config)]
    limit = max(stated, min(stretched, default=stated))
    yield Limit(limit, f"the model has {limit:,} positions")


def _stretched(rope: Mapping[str, Any], positions: int) -> int:
    """Positions of a rotary embedding that reads further than it was first trained to."""
    factor = rope.get("factor")
    if rope.get("rope_type") not in _STRETCHING or not isinstance(factor, int | float):
        return positions
    return math.floor((rope.get("original_max_position_embeddings") or positions) * factor)


def _rotations(config: Any) -> Iterator[Limit]:
    for rope in _ropes(config):
        kind = rope.get("rope_type")
        if kind in _CHANGING:
            first = rope.get("original_max_position_embeddings") if kind == "longrope" else None
            limit = first or getattr(config, "max_position_embeddings", None)
            if isinstance(limit, int):
                yield Limit(
                    limit,
                    f"the model's {kind} rotary embedding changes all log-probabilities of a batch "
                    f"with a sequence beyond {limit:,} tokens",
                )


def _ropes(config: Any) -> list[Mapping[str, Any]]:
    """The settings of a model's rotary embeddings, of which layers may have different ones."""
    found = getattr(config, "rope_parameters", None) or {}
    if not isinstance(found, Mapping):
        return []
    return (
        [found] if "rope_type" in found else [v for v in found.values() if isinstance(v, Mapping)]
    )
