"""Loads the tokenizer of a policy and checks that it matches the model."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from conspo_study.config.stages import PolicyConfig
from conspo_study.policy.errors import PolicyError, reason
from conspo_study.policy.files import some
from conspo_study.policy.quiet import quietly
from conspo_study.records.control_tokens import is_markup


def load_tokenizer(
    config: PolicyConfig, folder: Path, model_config: PreTrainedConfig
) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`, with a padding token. Raises PolicyError if there is none, or if
    it does not match the model with this transformers configuration."""
    try:
        with quietly():
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=config.trust_remote_code
            )
    except Exception as error:  # transformers raises many types here, with long messages
        raise _error(folder, f"cannot be loaded: {reason(error)}") from error
    if tokenizer.eos_token_id is None:
        raise _error(folder, "names no end-of-sequence token: set eos_token in tokenizer_config")
    added = tokenizer.get_added_vocab()
    known = tokenizer.get_vocab()
    if known.keys() <= added.keys():
        raise _error(folder, "has an empty vocabulary: copy its files from the original model")
    size = model_config.get_text_config().vocab_size
    special = set(tokenizer.all_special_tokens)
    # A control token beyond the embedding is harmless, since no prompt contains it.
    beyond = sorted(
        token
        for token, index in known.items()
        if index >= size and not (token in special or (token in added and is_markup(token)))
    )
    if beyond:
        raise _error(
            folder,
            f"has tokens that the model has no embedding for: {some(beyond)} are beyond its "
            f"{size:,}; use the model's own tokenizer, or resize_token_embeddings and train them",
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _error(folder: Path, problem: str) -> PolicyError:
    return PolicyError(f"policy.model: the tokenizer of {folder} {problem}")
