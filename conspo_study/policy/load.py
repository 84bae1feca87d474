"""Loads and saves the policy and its tokenizer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_model
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from conspo_study.config.stages import PolicyConfig
from conspo_study.policy.architecture import cannot_load, read_model_config, refuse_untrainable
from conspo_study.policy.errors import NoModelError, PolicyError
from conspo_study.policy.files import CONFIG, file_problems, no_model
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy.lora import add_adapters, has_adapters, load_adapters, save_adapters
from conspo_study.policy.packed_attention import UNPACKED, can_pack, enable_packing
from conspo_study.policy.quiet import no_progress_bars, quietly
from conspo_study.policy.recompute import enable_recomputing
from conspo_study.policy.tensors import first_nonfinite, tensor_problems
from conspo_study.policy.tokenizer import load_tokenizer

_TOLERANCE = 1e-3
"""Largest accepted difference between our log-probabilities and those of the model's own logits,
relative to the largest logit."""
_PROBE_TOKENS = (3, 4), (5,), (6, 7)
"""A prompt, a short and a longer response."""


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
    refuse_untrainable(model)
    tokenizer = load_tokenizer(config, folder, model_config)
    enable_packing(model)
    try:
        _check_scores(model)
    except (RuntimeError, IndexError, TypeError) as error:  # sizes that do not match
        raise cannot_load(folder, config, error) from error
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


def _check_scores(model: PreTrainedModel) -> None:
    """Refuse a model for which our log-probabilities differ from those of its own logits; disable
    packing if they differ only with it."""
    packed = can_pack(model)
    expected, largest = _logprobs_of_logits(model)
    if not math.isfinite(largest):
        raise PolicyError(
            f"policy.model: the weights of this {type(model).__name__} are finite, but its logits "
            "are not: use another model"
        )
    tolerance = _TOLERANCE * max(1.0, largest)
    if packed and not _agree(model, expected, tolerance):
        model.set_attn_implementation(UNPACKED)
        packed = False
    if not packed and not _agree(model, expected, tolerance):
        raise PolicyError(
            f"policy.model: {type(model).__name__} changes its logits after the output head, or "
            "attends to later tokens, which this project does not reproduce: use another model"
        )


def _agree(model: PreTrainedModel, expected: torch.Tensor, tolerance: float) -> bool:
    prompt, responses = _probe(model)
    with torch.no_grad():
        scores = response_logprobs(model, [prompt] * len(responses), responses)
    return bool((scores - expected).abs().max() <= tolerance)


def _logprobs_of_logits(model: PreTrainedModel) -> tuple[torch.Tensor, float]:
    """Log-probabilities of the probe from the model's own logits, and the largest |logit|."""
    prompt, responses = _probe(model)
    logits_after: dict[tuple[int, ...], torch.Tensor] = {}
    logprobs = []
    with torch.no_grad():
        for response in responses:
            for end, token in enumerate(response):
                before = (*prompt, *response[:end])
                if before not in logits_after:
                    output = model(input_ids=torch.tensor([before]), use_cache=False)
                    logits_after[before] = output.logits[0, -1].float()
                logprobs.append(logits_after[before].log_softmax(-1)[token])
    # Unlike Python's max, torch's keeps a NaN.
    return torch.stack(logprobs), float(torch.stack(list(logits_after.values())).abs().max())


def _probe(model: PreTrainedModel) -> tuple[list[int], list[list[int]]]:
    """A prompt with a short and a longer response, which must not influence each other."""
    size = model.get_input_embeddings().weight.shape[0]
    prompt, short, longer = ([token % size for token in part] for part in _PROBE_TOKENS)
    return prompt, [short, longer]
