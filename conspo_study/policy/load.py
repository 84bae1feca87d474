"""Loads the policy and its tokenizer, ready to sample from and to train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from conspo_study.config.stages import PolicyConfig
from conspo_study.policy.logprobs import refuse_transformed_logits
from conspo_study.policy.lora import add_adapters, has_adapters, load_adapters, save_adapters
from conspo_study.policy.packed_attention import enable_packing
from conspo_study.policy.quiet import no_progress_bars
from conspo_study.policy.recompute import enable_recomputing

_PROBE = 1e-3
"""Allowed difference, relative to the largest logit, between the model's logits and its head's."""


def load_policy(config: PolicyConfig, folder: Path) -> tuple[Any, Any]:
    """The model in float32 without dropout, and its tokenizer with a padding token.

    `folder` holds a transformers model with safetensors weights, as `prepare_policy` returns it.
    With `lora_rank` only the model's fresh adapters are trainable. Code from the folder is run only
    with `trust_remote_code`, and nothing is fetched from the network.
    """
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"policy.model: {folder} is not the folder of a transformers model (no config.json); "
            "name a local folder, or 'embedded'"
        )
    settings: dict[str, Any] = {
        "local_files_only": True,
        "trust_remote_code": config.trust_remote_code,
    }
    try:
        with no_progress_bars():
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                attn_implementation=config.attention,
                **settings,
            )
        tokenizer = AutoTokenizer.from_pretrained(folder, **settings)
    except Exception as error:  # transformers raises many types here, often pages long
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ValueError(f"policy.model: {folder} cannot be loaded: {reason}") from error
    if tokenizer.eos_token_id is None:
        raise ValueError(f"policy.model: the tokenizer of {folder} names no end-of-sequence token")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    _check_head(model)
    enable_packing(model)
    if config.lora_rank:
        add_adapters(model, config)
    if config.gradient_checkpointing:
        enable_recomputing(model)
    return model.eval(), tokenizer


def save_policy(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a folder that transformers and inference engines can read: a model, or its adapters
    alone, with the tokenizer."""
    if has_adapters(model):
        save_adapters(model, folder)
    else:
        with no_progress_bars():
            model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # Trusted code comes with the model that training began from; what training writes holds none.
    for code in folder.glob("*.py"):
        code.unlink()


def restore_policy(model: Any, folder: Path) -> None:
    """Restore in place what `save_policy` wrote of a model that was loaded with the same
    configuration. Raises RuntimeError, ValueError or SafetensorError when it does not fit."""
    if has_adapters(model):
        load_adapters(model, folder)
    else:
        load_model(model, folder / "model.safetensors")


def _check_head(model: Any) -> None:
    """Refuse a model whose logits are not its output head applied to its hidden states."""
    refuse_transformed_logits(model)
    head = model.get_output_embeddings()
    probe_BL = torch.arange(4)[None] % model.config.get_text_config().vocab_size
    with torch.no_grad():
        expected = model(input_ids=probe_BL, use_cache=False).logits
        hidden = model.base_model(input_ids=probe_BL, use_cache=False).last_hidden_state
        difference = (head(hidden) - expected).abs().max()
    if not difference <= _PROBE * expected.abs().max().clamp(min=1.0):
        raise ValueError(
            f"{type(model).__name__} does something to its logits after the output head, which "
            "this project does not reproduce: use another model"
        )
