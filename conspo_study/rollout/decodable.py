"""The models that `ModelDecoder` can decode: those whose attention reads a cache of keys and
values."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_FULL = "full_attention"
_WINDOWS = ("sliding_window", "keep_window_size")


def decoding_problem(model_class: type[PreTrainedModel], config: PreTrainedConfig) -> str | None:
    """A message that explains why models of a class with this configuration cannot be decoded; None
    if they can."""
    kinds = set(getattr(config.get_text_config(), "layer_types", None) or [_FULL])
    if unsupported := kinds - {_FULL}:
        return (
            f"the transformers engine cannot decode layers of type {sorted(unsupported)}, "
            "only full attention: use another model"
        )
    has_cache = "past_key_values" in inspect.signature(model_class.forward).parameters
    if not has_cache or getattr(model_class, "_is_stateful", False):
        return (
            f"the transformers engine cannot decode {model_class.__name__}, whose state is not a "
            "cache of keys and values: use another model"
        )
    return None


def attention_window(config: PreTrainedConfig) -> int | None:
    """The attention window of a decodable model, in tokens; None for full attention.

    Configurations with a list of layer types declare windows there. Others use the window that they
    name, if their architecture supports one.
    """
    config = config.get_text_config()
    if getattr(config, "layer_types", None) or getattr(config, "use_sliding_window", True) is False:
        return None
    for name in _WINDOWS:
        window = getattr(config, name, None)
        known = hasattr(type(config), name) or "transformers_modules" in type(config).__module__
        if isinstance(window, int) and known and window > 0:
            return window
    return None


def counts_from_mask(config: PreTrainedConfig) -> bool:
    """True for a model that derives positions from the padding mask, as with linear biases
    (ALiBi)."""
    config = config.get_text_config()
    return config.model_type == "bloom" or bool(getattr(config, "alibi", False))
