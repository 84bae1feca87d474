"""Loads the policy and its tokenizer, ready to sample from and to train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from conspo_study.config.stages import PolicyConfig
from conspo_study.policy.logprobs import refuse_transformed_logits
from conspo_study.policy.quiet import no_progress_bars

_PROBE = 1e-3
"""Allowed difference, relative to the largest logit, between the model's logits and its head's."""


def load_policy(config: PolicyConfig, warm_start_folder: Path | None = None) -> tuple[Any, Any]:
    """The model in float32 without dropout, and its tokenizer with a padding token.

    `embedded` loads `warm_start_folder`, which `warm_start` returns; anything else is the folder
    of a transformers model with safetensors weights. No code from the folder is run, and nothing
    is fetched from the network.
    """
    if config.model != "embedded":
        folder = Path(config.model).expanduser()
    elif warm_start_folder is not None:
        folder = warm_start_folder
    else:
        raise ValueError("policy.model is 'embedded', whose warm start folder must be passed in")
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"policy.model: {folder} is not the folder of a transformers model (no config.json); "
            "name a local folder, or 'embedded'"
        )
    settings: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with no_progress_bars():
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, **settings
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
    return model.eval(), tokenizer


def save_policy(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a folder that `load_policy`, transformers and inference engines can read."""
    with no_progress_bars():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


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
