"""The embedded model: a Llama of 110,784 parameters and its tokenizer of 62 tokens.

Both are ordinary transformers objects: they save, load and generate like any other model.
"""

from __future__ import annotations

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
LARGEST_NUMBER = 50
VOCABULARY = (
    *(PAD, BOS, EOS, "\\boxed{", "+", "-", "*", "=", "}", "?", "\n"),
    *(str(number) for number in range(LARGEST_NUMBER + 1)),
)
SPLIT_PATTERN = r"\\boxed\{|\d+|\D"
MODEL_SETTINGS: dict[str, int | float | bool] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    # The smallest head size that vLLM's CPU attention supports.
    "head_dim": 32,
    "intermediate_size": 192,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
    "initializer_range": 0.05,
}
ROPE_THETA = 10_000.0


def embedded_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer; it prepends `<bos>` unless `add_special_tokens=False`.

    There is no unknown token: text outside of the vocabulary raises an error.
    """
    ids = {token: index for index, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(ids))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, ids[BOS])]
    )
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        clean_up_tokenization_spaces=False,
        model_max_length=MODEL_SETTINGS["max_position_embeddings"],
    )


def embedded_config() -> LlamaConfig:
    """The architecture, with the token ids of the embedded tokenizer."""
    return LlamaConfig(
        **MODEL_SETTINGS,
        vocab_size=len(VOCABULARY),
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        pad_token_id=VOCABULARY.index(PAD),
        bos_token_id=VOCABULARY.index(BOS),
        eos_token_id=VOCABULARY.index(EOS),
        dtype="float32",
    )


def untrained_model(seed: int) -> LlamaForCausalLM:
    """The model at its random initialisation; the caller's random state does not change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(embedded_config()).float()
