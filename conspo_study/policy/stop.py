"""Which tokens end a response; engines and nothing else decide by them."""

from __future__ import annotations

from typing import Any

from conspo_study.policy.errors import PolicyError


def stop_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """The tokens that end a response of `model`, the tokenizer's end-of-sequence token first.

    Chat models end a turn by tokens that are not the tokenizer's end of sequence: the model's
    generation configuration names them. Raises PolicyError for an id outside of the vocabulary.
    """
    generation = getattr(model, "generation_config", None)
    named = getattr(generation, "eos_token_id", None)
    own = [named] if isinstance(named, int) else list(named or ())
    ids = tuple(dict.fromkeys([tokenizer.eos_token_id, *own]))
    size = model.config.get_text_config().vocab_size
    if wrong := [i for i in ids if not 0 <= i < size]:
        raise PolicyError(
            f"policy.model: its stop tokens {wrong} are outside of its vocabulary of {size}: "
            "correct generation_config.json or the tokenizer"
        )
    return ids
