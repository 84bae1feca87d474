"""Folders of tiny models, whole ones and ones that somebody else might have."""

import json

import torch
from safetensors.torch import load_file, save_file
from tiny_models import random_model
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from conspo_study.policy.embedded import embedded_tokenizer

_SIZES = {
    "vocab_size": 62,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_ENDS = {"bos_token_id": 1, "eos_token_id": 2}
_OLD_SIZES = {
    "vocab_size": 62,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 128,
    **_ENDS,
}
_EXPERTS = {"num_key_value_heads": 2, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
STRANGERS = {
    "gpt2": _OLD_SIZES,
    "opt": _SIZES | {"ffn_dim": 48, "word_embed_proj_dim": 16, "pad_token_id": 0},
    "gpt_neox": _SIZES,
    "gemma": _SIZES | {"num_key_value_heads": 1, "head_dim": 16},
    "phi": _SIZES,
    "phi3": _SIZES | {"num_key_value_heads": 2, "pad_token_id": 0},
    "stablelm": _SIZES | {"num_key_value_heads": 2},
    "falcon": _SIZES,
    "mixtral": _SIZES | {"num_key_value_heads": 2, "num_local_experts": 4},
    "qwen3_moe": _SIZES | _EXPERTS | {"num_experts": 4, "head_dim": 16},
    "nemotron": _SIZES | {"num_key_value_heads": 2, "head_dim": 8},
    "bloom": _SIZES | {"n_layer": 2, "n_head": 4},
    "gptj": _OLD_SIZES | {"rotary_dim": 4},
    "mpt": {
        "vocab_size": 62,
        "d_model": 32,
        "n_layers": 2,
        "n_heads": 4,
        "max_seq_len": 128,
        **_ENDS,
    },
}
"""Families that no test elsewhere names, with tiny sizes."""
EAGER = {"bloom", "gptj", "mpt"}
"""Those without another implementation of attention."""


def stranger(family, seed=0, **settings):
    """A random model of one of the families, sharp enough not to be uniform."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[family](**STRANGERS[family] | settings))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3)
    return model.eval()


def save_model(folder, model=None, tokenizer=None, **settings):
    """A whole folder, of a small Llama unless told otherwise; returns it."""
    (model or random_model("Llama")).save_pretrained(folder, **settings)
    (tokenizer or embedded_tokenizer()).save_pretrained(folder)
    return folder


def edit_weights(folder, change):
    """Write the weights of a folder again, as `change` makes them of a dictionary by name."""
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def edit_config(folder, **settings):
    """Change settings of config.json; None removes one."""
    path = folder / "config.json"
    found = json.loads(path.read_text()) | settings
    path.write_text(json.dumps({k: v for k, v in found.items() if v is not None}))
