"""Randomly initialised models of the architectures that are tested."""

from typing import Any

import torch
import transformers

FAMILIES = ("Llama", "Qwen2", "Qwen3")
VOCABULARY = 62


def random_model(family: str, seed: int = 0, **settings: Any) -> Any:
    """A model of two layers with grouped-query attention, sharp enough not to be uniform."""
    config = getattr(transformers, f"{family}Config")(
        **{
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "max_position_embeddings": 128,
            "initializer_range": 0.3,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
        }
        | settings
    )
    torch.manual_seed(seed)
    return getattr(transformers, f"{family}ForCausalLM")(config).eval()
