"""Attention windows of models: found in their settings, and narrowed to try them on few tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

FULL, SLIDING, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"
"""Kinds of layers whose attention reads keys and values, as transformers names them."""


def layer_kinds(config: PreTrainedConfig) -> set[str]:
    """The kinds of a model's layers, as its configuration lists them; full attention if it does
    not."""
    return set(getattr(config.get_text_config(), "layer_types", None) or [FULL])


def window_settings(config: PreTrainedConfig) -> Mapping[str, int]:
    """The settings of a configuration that limit how far attention looks back, in tokens, by name.

    Where it lists the kinds of its layers, they matter only if there are such layers. Otherwise a
    model need not use all of them: a file may carry those of another architecture.
    """
    text = config.get_text_config()
    if getattr(text, "layer_types", None) and not layer_kinds(config) - {FULL}:
        return {}
    return {
        name: value
        for name, value in vars(text).items()
        if (("window" in name and "layers" not in name) or name == "attention_chunk_size")
        and isinstance(value, int)
        and not isinstance(value, bool)
        and value > 0
    }


@contextmanager
def narrowed(model: PreTrainedModel, tokens: int) -> Iterator[None]:
    """Inside the block, all windows of a model wider than `tokens` are that wide, as far as it
    reads them from its configuration or from attributes of its modules."""
    config = model.config.get_text_config()
    before: list[tuple[Any, str, int]] = []
    for name, value in window_settings(config).items():
        holders = [config, *(m for m in model.modules() if vars(m).get(name) == value)]
        before += [(holder, name, value) for holder in holders if value > tokens]
    try:
        for holder, name, _ in before:
            setattr(holder, name, tokens)
        yield
    finally:
        for holder, name, value in before:
            setattr(holder, name, value)
