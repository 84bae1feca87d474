"""Loads and saves the policy and its tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_model
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from conspo_study.config.stages import PolicyConfig
from conspo_study.policy.architecture import cannot_load, read_model_config, refuse_untrainable
from conspo_study.policy.errors import NoModelError, PolicyError
from conspo_study.policy.files import CONFIG, file_problems, no_model
from conspo_study.policy.lora import add_adapters, has_adapters, load_adapters, save_adapters
from conspo_study.policy.output_head import compute_head_in_float32
from conspo_study.policy.packed_attention import enable_packing
from conspo_study.policy.probe import check_scores
from conspo_study.policy.quiet import no_progress_bars, quietly
from conspo_study.policy.recompute import enable_recomputing
from conspo_study.policy.tensors import first_nonfinite, restore_padding_row, tensor_problems
from conspo_study.policy.tokenizer import load_tokenizer


def load_policy(
    config: PolicyConfig, folder: Path
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model in float32 without dropout, and its tokenizer with a padding token.

    folder: a transformers model with safetensors weights, as returned by `prepare_policy`. With
    `lora_rank` only the model's new adapters are trainable. Code from the folder is run only with
    `trust_remote_code`, and nothing is fetched from the network. Raises PolicyError for a model
    that is incomplete or cannot be trained correctly.
    """
    if not (folder / CONFIG).exists():
        raise NoModelError(no_model(folder))
    refuse(file_problems(folder, config.trust_remote_code))
    model_config = read_model_config(config, folder)
    try:
        with quietly():
            model, info = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                attn_implementation=config.attention,
                local_files_only=True,
                trust_remote_code=config.trust_remote_code,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported below
            )
    except MemoryError:
        raise
    except Exception as error:  # transformers raises many types here, with long messages
        raise cannot_load(folder, config, error) from error
    refuse(tensor_problems(model, folder, info))
    if (name := first_nonfinite(model.named_parameters())) is not None:
        raise PolicyError(
            f"policy.model: {folder}: weights are not finite: {name}; it was saved by a diverged "
            "training run, or is damaged: fetch it again, or use an earlier checkpoint"
        )
    restore_padding_row(model, folder)
    refuse_untrainable(model)
    tokenizer = load_tokenizer(config, folder, model_config)
    enable_packing(model)
    try:
        check_scores(model)
    except (RuntimeError, IndexError, TypeError) as error:  # sizes that do not match
        raise cannot_load(folder, config, error) from error
    if config.head_precision == "float32":
        compute_head_in_float32(model)
    if config.lora_rank:
        add_adapters(model, config)
    if config.gradient_checkpointing:
        enable_recomputing(model)
    return model.eval(), tokenizer


def refuse(problems: Sequence[str]) -> None:
    """Raise PolicyError with all problems, if there are any."""
    if problems:
        raise PolicyError("; ".join(problems))


def save_policy(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a folder that transformers and inference engines can read: the tokenizer, and the model
    or, if it has adapters, these alone."""
    if has_adapters(model):
        save_adapters(model, folder)
    else:
        with no_progress_bars():
            model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # Checkpoints contain no code; trusted code comes with the model that training began from.
    for code in folder.glob("*.py"):
        code.unlink()


def restore_policy(model: PreTrainedModel, folder: Path) -> None:
    """Restore in place the weights written by `save_policy` for a model loaded with the same
    configuration. Raises RuntimeError, ValueError or SafetensorError if they do not match."""
    if has_adapters(model):
        load_adapters(model, folder)
    else:
        load_model(model, folder / "model.safetensors")
