"""Stop tokens, by which engines end a response."""

from __future__ import annotations

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from conspo_study.policy.errors import PolicyError


def stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Ids of the tokens that end a response, the tokenizer's end-of-sequence token first.

    Chat models may end a turn with other tokens, which the model's generation configuration lists.
    Raises PolicyError for an id outside of the vocabulary.
    """
    generation = getattr(model, "generation_config", None)
    listed = getattr(generation, "eos_token_id", None)
    of_model = [listed] if isinstance(listed, int) else list(listed or ())
    ids = tuple(dict.fromkeys([tokenizer.eos_token_id, *of_model]))
    size = model.config.get_text_config().vocab_size
    if invalid := [i for i in ids if not 0 <= i < size]:
        raise PolicyError(
            f"policy.model: its stop tokens {invalid} are outside of its vocabulary of {size}: "
            "correct generation_config.json or the tokenizer"
        )
    return ids
