"""The longest sequence that a model supports."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len")
_CHANGING = ("dynamic", "longrope")
"""Rotary embeddings that rotate all tokens of a batch differently once its longest row exceeds a
limit: log-probabilities and gradients would depend on how sequences are batched."""
_STRETCHING = ("linear", "yarn")
"""Rotary embeddings whose `factor` extends the original number of positions."""


class Limit(NamedTuple):
    """The maximum number of tokens of a prompt with its response."""

    tokens: int
    why: str
    """Reason for the limit, as a clause: `the model has 128 positions`."""


def longest_sequence(config: PreTrainedConfig) -> Limit | None:
    """The tightest limit of a model, from its transformers configuration; None without a limit."""
    limits = [*_positions(config.get_text_config()), *_rotations(config.get_text_config())]
    return min(limits, key=lambda limit: limit.tokens, default=None)


def _positions(config: PreTrainedConfig) -> Iterator[Limit]:
    stated = next((n for n in (getattr(config, name, None) for name in _POSITIONS) if n), None)
    if not isinstance(stated, int) or isinstance(stated, bool):
        return
    stretched = [_stretched(rope, stated) for rope in _ropes(config)]
    limit = max(stated, min(stretched, default=stated))
    yield Limit(limit, f"the model has {limit:,} positions")


def _stretched(rope: Mapping[str, Any], positions: int) -> int:
    """The number of positions of a rotary embedding, extended by its `factor` if it has one."""
    factor = rope.get("factor")
    if rope.get("rope_type") not in _STRETCHING or not isinstance(factor, int | float):
        return positions
    return math.floor((rope.get("original_max_position_embeddings") or positions) * factor)


def _rotations(config: PreTrainedConfig) -> Iterator[Limit]:
    for rope in _ropes(config):
        kind = rope.get("rope_type")
        if kind in _CHANGING:
            original = rope.get("original_max_position_embeddings") if kind == "longrope" else None
            limit = original or getattr(config, "max_position_embeddings", None)
            if isinstance(limit, int):
                yield Limit(
                    limit,
                    f"the model's {kind} rotary embedding changes all log-probabilities of a batch "
                    f"with a sequence beyond {limit:,} tokens",
                )


def _ropes(config: PreTrainedConfig) -> list[Mapping[str, Any]]:
    """The settings of a model's rotary embeddings, which may differ between layers."""
    ropes = getattr(config, "rope_parameters", None) or {}
    if not isinstance(ropes, Mapping):
        return []
    return (
        [ropes] if "rope_type" in ropes else [v for v in ropes.values() if isinstance(v, Mapping)]
    )
