"""Which models `ModelDecoder` decodes, and how far: those that look back at all that it keeps."""

from __future__ import annotations

import inspect
from typing import Any

_FULL = "full_attention"
_WINDOWS = ("sliding_window", "keep_window_size")


def decoding_problem(model_class: Any, config: Any) -> str | None:
    """Why models of a class with this configuration cannot be decoded; None if they can."""
    kinds = set(getattr(config.get_text_config(), "layer_types", None) or [_FULL])
    if unsupported := kinds - {_FULL}:
        return (
            f"the transformers engine cannot decode layers of type {sorted(unsupported)}, "
            "only full attention: use another model"
        )
    keeps = "past_key_values" in inspect.signature(model_class.forward).parameters
    if not keeps or getattr(model_class, "_is_stateful", False):
        return (
            f"the transformers engine cannot decode {model_class.__name__}, which keeps something "
            "else than keys and values of attention: use another model"
        )
    return None


def attention_window(config: Any) -> int | None:
    """How many tokens back a decodable model's layers see; None where they see all of them.

    Configurations that list the kinds of their layers say there whether they use a window. Others
    use the one that they name, if their architecture knows of any.
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


def counts_from_mask(config: Any) -> bool:
    """Whether a model works out positions from a mask of the padding: one with linear biases."""
    config = config.get_text_config()
    return config.model_type == "bloom" or bool(getattr(config, "alibi", False))
