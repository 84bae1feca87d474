"""Loads the policy and its tokenizer, ready to sample from and to train."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model
from transformers import AutoModelForCausalLM

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

_PROBE = 1e-3
"""Allowed difference of a log-probability from that of the model's own logits, relative to the
largest logit."""
_TOKENS = (3, 4), (5,), (6, 7)


def load_policy(config: PolicyConfig, folder: Path) -> tuple[Any, Any]:
    """The model in float32 without dropout, and its tokenizer with a padding token.

    `folder` holds a transformers model with safetensors weights, as `prepare_policy` returns it.
    With `lora_rank` only the model's fresh adapters are trainable. Code from the folder is run only
    with `trust_remote_code`, and nothing is fetched from the network. Raises PolicyError for a
    model that is not whole, or not one that is trained rightly.
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
                ignore_mismatched_sizes=True,  # they are told below
            )
    except MemoryError:
        raise
    except Exception as error:  # transformers raises many types here, often pages long
        raise cannot_load(folder, config, error) from error
    refuse(tensor_problems(model, folder, info))
    if (name := first_nonfinite(model.named_parameters())) is not None:
        raise PolicyError(
            f"policy.model: {folder}: weights are not finite: {name}; it was saved by a training "
            "run that diverged, or damaged: fetch it again, or use an earlier checkpoint"
        )
    refuse_untrainable(model)
    tokenizer = load_tokenizer(config, folder, model_config)
    enable_packing(model)
    try:
        _check_scores(model)
    except (RuntimeError, IndexError, TypeError) as error:  # of sizes that do not fit together
        raise cannot_load(folder, config, error) from error
    if config.lora_rank:
        add_adapters(model, config)
    if config.gradient_checkpointing:
        enable_recomputing(model)
    return model.eval(), tokenizer


def refuse(problems: Sequence[str]) -> None:
    """Raise PolicyError with all of the problems, if there are any."""
    if problems:
        raise PolicyError("; ".join(problems))


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


def _check_scores(model: Any) -> None:
    """Refuse a model whose log-probabilities, as training computes them, are not those of its own
    logits; one that is merely wrong when packed is not packed."""
    packed = can_pack(model)
    expected, largest = _logprobs_of_logits(model)
    if not math.isfinite(largest):
        raise PolicyError(
            f"policy.model: the weights of this {type(model).__name__} are finite, but its logits "
            "are not: use another model"
        )
    allowed = _PROBE * max(1.0, largest)
    if packed and not _agree(model, expected, allowed):
        model.set_attn_implementation(UNPACKED)
        packed = False
    if not packed and not _agree(model, expected, allowed):
        raise PolicyError(
            f"policy.model: {type(model).__name__} does something to its logits after the output "
            "head, or sees tokens that come later, which this project does not reproduce: use "
            "another model"
        )


def _agree(model: Any, expected: torch.Tensor, allowed: float) -> bool:
    prompt, responses = _probe(model)
    with torch.no_grad():
        scores = response_logprobs(model, [prompt] * len(responses), responses)
    return bool((scores - expected).abs().max() <= allowed)


def _logprobs_of_logits(model: Any) -> tuple[torch.Tensor, float]:
    """Log-probabilities of the probe by the model's own logits, and the largest of these."""
    prompt, responses = _probe(model)
    read: dict[tuple[int, ...], torch.Tensor] = {}
    found = []
    with torch.no_grad():
        for response in responses:
            for end, token in enumerate(response):
                before = (*prompt, *response[:end])
                if before not in read:
                    output = model(input_ids=torch.tensor([before]), use_cache=False)
                    read[before] = output.logits[0, -1].float()
                found.append(read[before].log_softmax(-1)[token])
    # A NaN would be lost in Python's own max.
    return torch.stack(found), float(torch.stack(list(read.values())).abs().max())


def _probe(model: Any) -> tuple[list[int], list[list[int]]]:
    """A prompt with a short and a longer response, of which neither may feel the other."""
    size = model.get_input_embeddings().weight.shape[0]
    prompt, short, longer = ([token % size for token in part] for part in _TOKENS)
    return prompt, [short, longer]
