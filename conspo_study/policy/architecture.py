"""Whether a model's config.json describes a causal language model that can be trained here.

Everything is decided without weights: the model is built on PyTorch's meta device, where tensors
have a shape and nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
)

from conspo_study.config.stages import PolicyConfig
from conspo_study.policy.errors import PolicyError
from conspo_study.policy.files import CONFIG, read_json
from conspo_study.policy.logprobs import refuse_transformed_logits
from conspo_study.policy.quiet import quietly

_UNKNOWN = ("does not recognize this architecture", "contains custom code")
"""What transformers says of an architecture that is not its own."""
_MOST_LAYERS = 1000
"""Far more than any model has; each takes time to build."""


def read_model_config(config: PolicyConfig, folder: Path) -> Any:
    """The transformers configuration of the model in `folder`.

    Raises PolicyError where it is none, or not that of a causal language model.
    """
    written = read_json(folder / CONFIG)
    own_code = config.trust_remote_code and "auto_map" in written
    kind = written.get("model_type")
    if not isinstance(kind, str) and not own_code:
        raise _error(folder, f"{CONFIG} names no model_type, so that it is no model's")
    if written.get("quantization_config"):
        raise _error(folder, "its weights are quantised and cannot be trained: name the original")
    try:
        with quietly():
            found = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=config.trust_remote_code
            )
    except Exception as error:  # transformers raises many types here, often pages long
        if any(text in str(error) for text in _UNKNOWN):
            code = "auto_map" in written and not config.trust_remote_code
            advice = (
                "it comes with code of its own, which policy.trust_remote_code would run"
                if code
                else "use another model, or a transformers that knows it"
            )
            raise _error(
                folder,
                f"transformers {transformers.__version__} does not know the architecture "
                f"{kind!r}: {advice}",
            ) from error
        raise _error(folder, f"{CONFIG} cannot be used: {reason(error)}") from error
    if not own_code:
        _refuse_other_tasks(found, folder)
    if _layers(found) > _MOST_LAYERS:
        raise _error(folder, f"{CONFIG} names {_layers(found):,} layers, which cannot be right")
    return found


def empty_model(config: PolicyConfig, model_config: Any, folder: Path) -> Any:
    """The model without weights. Raises PolicyError where it cannot be built, or not trained."""
    # Whether a GPU and its packages are there, only the worker knows.
    attention = "eager" if config.attention == "flash_attention_2" else config.attention
    try:
        with quietly(), torch.device("meta"):
            model = AutoModelForCausalLM.from_config(
                model_config,
                attn_implementation=attention,
                dtype=torch.float32,
                trust_remote_code=config.trust_remote_code,
            )
    except Exception as error:
        raise cannot_load(folder, config, error) from error
    refuse_untrainable(model)
    return model


def refuse_untrainable(model: Any) -> None:
    """Raise PolicyError for a model whose log-probabilities this project does not compute."""
    refuse_transformed_logits(model)
    if model.get_output_embeddings() is None or model.base_model is model:
        raise PolicyError(
            f"policy.model: {type(model).__name__} has no output head on top of hidden states, "
            "which training needs: use another model"
        )


def cannot_load(folder: Path, config: PolicyConfig, error: Exception) -> PolicyError:
    """What to tell of a model that transformers does not build or load."""
    told = reason(error)
    if "scaled_dot_product_attention" in told:
        told = f"it has no attention {config.attention!r}: set policy.attention=eager"
    return _error(folder, f"cannot be loaded: {told}", separator=" ")


def reason(error: Exception) -> str:
    """What an error says that may go on for pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].endswith(":"):
        return " ".join(lines[:2])
    return lines[0] if lines else repr(error)


def _refuse_other_tasks(found: Any, folder: Path) -> None:
    known = type(found) in MODEL_FOR_CAUSAL_LM_MAPPING
    masked = type(found) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(found, "is_decoder", False)
    if known and not masked and not getattr(found, "is_encoder_decoder", False):
        return
    names = ", ".join(found.architectures or ()) or found.model_type
    raise _error(
        folder,
        f"{names} is not a causal language model, which continues a text: name one that is "
        "(an architecture that ends in ForCausalLM or LMHeadModel)",
    )


def _layers(found: Any) -> int:
    try:
        return int(found.get_text_config().num_hidden_layers)
    except (AttributeError, TypeError, ValueError):
        return 0


def _error(folder: Path, problem: str, separator: str = ": ") -> PolicyError:
    return PolicyError(f"policy.model: {folder}{separator}{problem}")
