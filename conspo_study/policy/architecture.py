"""Checks that a model's config.json describes a causal language model that can be trained here.

No weights are needed: the model is built on PyTorch's meta device, where tensors have only a shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
)

from conspo_study.config.stages import PolicyConfig
from conspo_study.policy.errors import PolicyError, reason
from conspo_study.policy.files import CONFIG, read_json
from conspo_study.policy.output_head import decoder_of
from conspo_study.policy.quiet import quietly
from conspo_study.untrusted import within

_UNKNOWN = ("does not recognize this architecture", "contains custom code")
"""Parts of transformers' messages about an architecture that it does not know."""
_PATIENCE_S = 120.0
"""Longest time to build a model without weights; a large one takes a second or two."""
_MOST_LAYERS = 1000
"""Plausible maximum number of layers; each takes time to build."""


def read_model_config(config: PolicyConfig, folder: Path) -> PreTrainedConfig:
    """The transformers configuration of the model in `folder`.

    Raises PolicyError if it is malformed or not that of a causal language model.
    """
    written = read_json(folder / CONFIG)
    own_code = config.trust_remote_code and "auto_map" in written
    kind = written.get("model_type")
    if not isinstance(kind, str) and not own_code:
        raise _error(folder, f"{CONFIG} names no model_type: fetch the model again")
    if written.get("quantization_config"):
        raise _error(folder, "its weights are quantised and cannot be trained: use the original")
    if (asked := _asked(written, "attn_implementation", "experts_implementation")) is not None:
        raise _error(
            folder,
            f"{CONFIG} asks for the kernel {asked!r}, code that would be fetched from the hub and "
            "run: delete that entry; policy.attention chooses the attention",
        )
    # Before transformers makes a list of them.
    if (layers := _named_layers(written)) > _MOST_LAYERS:
        raise _error(folder, f"{CONFIG} names {layers:,} layers, which cannot be right")
    try:
        with quietly(), within(_PATIENCE_S):
            model_config = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=config.trust_remote_code
            )
    except Exception as error:  # transformers raises many types here, with long messages
        if any(text in str(error) for text in _UNKNOWN):
            code = "auto_map" in written and not config.trust_remote_code
            advice = (
                "it comes with its own code, which policy.trust_remote_code=true would run"
                if code
                else "use another model, or a transformers version that knows it"
            )
            raise _error(
                folder,
                f"transformers {transformers.__version__} does not know the architecture "
                f"{kind!r}: {advice}",
            ) from error
        raise _error(folder, f"{CONFIG} cannot be used: {reason(error)}") from error
    if not own_code:
        _refuse_other_tasks(model_config, folder)
    if (layers := _layers(model_config)) > _MOST_LAYERS:
        raise _error(folder, f"{CONFIG} names {layers:,} layers, which cannot be right")
    if config.attention != "eager" and (name := _attention_cap(model_config)):
        raise _error(
            folder,
            f"its attention scores are capped ({name}), which the attention {config.attention!r} "
            "would ignore: set policy.attention=eager",
        )
    return model_config


def empty_model(
    config: PolicyConfig, model_config: PreTrainedConfig, folder: Path
) -> PreTrainedModel:
    """The model without weights. Raises PolicyError if it cannot be built or trained."""
    try:
        with quietly(), within(_PATIENCE_S), torch.device("meta"):
            model = AutoModelForCausalLM.from_config(
                model_config,
                attn_implementation=config.attention,
                dtype=torch.float32,
                trust_remote_code=config.trust_remote_code,
            )
    except Exception as error:
        raise cannot_load(folder, config, error) from error
    refuse_untrainable(model)
    return model


def refuse_untrainable(model: PreTrainedModel) -> None:
    """Raise PolicyError for a model whose log-probabilities this project cannot compute."""
    if model.get_output_embeddings() is None or decoder_of(model) is model:
        raise PolicyError(
            f"policy.model: {type(model).__name__} has no output head on top of hidden states, "
            "which training needs: use another model"
        )


def cannot_load(folder: Path, config: PolicyConfig, error: Exception) -> PolicyError:
    """The error to raise for a model that transformers fails to build or load."""
    cause = reason(error)
    if "scaled_dot_product_attention" in cause:
        cause = f"it has no attention {config.attention!r}: set policy.attention=eager"
    return _error(folder, f"cannot be loaded: {cause}", separator=" ")


def _refuse_other_tasks(model_config: PreTrainedConfig, folder: Path) -> None:
    kind = type(model_config)
    encoder = kind in MODEL_FOR_MASKED_LM_MAPPING and not getattr(model_config, "is_decoder", False)
    both = getattr(model_config, "is_encoder_decoder", False)
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING and not encoder and not both:
        return
    names = ", ".join(model_config.architectures or ()) or model_config.model_type
    raise _error(
        folder,
        f"{names} is not a causal language model, which continues a text: use one "
        "(its architecture ends in ForCausalLM or LMHeadModel)",
    )


def _attention_cap(model_config: PreTrainedConfig) -> str | None:
    """The setting by which a model caps its attention scores; None if it does not."""
    for name, value in vars(model_config.get_text_config()).items():
        if value and "softcap" in name.replace("_", "") and ("attn" in name or "attention" in name):
            return str(name)
    return None


def _asked(written: Mapping[str, Any], *settings: str) -> str | None:
    """The first kernel of the hub, owner/name, that a setting of a config.json names."""
    for name, value in written.items():
        inner = value.values() if isinstance(value, dict) else [value]
        if name.lstrip("_") in settings:
            for one in inner:
                if isinstance(one, str) and "/" in one:
                    return one
        elif isinstance(value, dict) and (found := _asked(value, *settings)) is not None:
            return found
    return None


def _named_layers(written: Mapping[str, Any]) -> int:
    """The largest number that a config.json gives for layers."""
    inner = [_named_layers(value) for value in written.values() if isinstance(value, dict)]
    named = [
        value
        for name, value in written.items()
        if name.endswith(("layers", "n_layer"))
        and isinstance(value, int)
        and name != "max_window_layers"
    ]
    return max([0, *named, *inner])


def _layers(model_config: PreTrainedConfig) -> int:
    try:
        return int(model_config.get_text_config().num_hidden_layers)
    except (AttributeError, TypeError, ValueError):
        return 0


def _error(folder: Path, problem: str, separator: str = ": ") -> PolicyError:
    return PolicyError(f"policy.model: {folder}{separator}{problem}")
