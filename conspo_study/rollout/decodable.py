"""The ways to decode a model, and the choice of the fastest that is right for it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING

import torch

from conspo_study.policy.probe import NARROW
from conspo_study.policy.windows import (
    CHUNKED,
    FULL,
    SLIDING,
    layer_kinds,
    narrowed,
    window_settings,
)
from conspo_study.rollout.decoder import Decoder, ModelDecoder
from conspo_study.rollout.rereading import RereadingDecoder

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_PROMPTS = (3, 4, 5), (6, 7, 8), (9, 10, 11, 12, 13)
"""Two of the same length, and a longer one."""
_ANSWERS = (14, 15, 16, 17), (18, 19, 20, 21)
"""What follows each prompt in two samples."""
_TOLERANCE, _HALF_TOLERANCE = 1e-4, 0.1
"""Largest accepted difference of logits, relative to the largest, for weights in float32, and in
half precision."""


class Way(Enum):
    """A way to decode a model, fastest first. All but the last keep what a row's next token needs
    of those before it."""

    ONE_MASK = "with one mask for all layers"
    OWN_MASKS = "with masks that the model makes for its layers"
    OWN_CACHE = "with the model's own cache"
    EQUAL_LENGTHS = "with the model's own cache, prompts of one length at a time"
    REREAD = "by reading each row anew for every token, which takes far longer: prefer vLLM"


def ways_of(model_class: type[PreTrainedModel], config: PreTrainedConfig) -> list[Way]:
    """The ways in which models of a class with this configuration might be decoded, fastest
    first."""
    if "past_key_values" not in inspect.signature(model_class.forward).parameters:
        return [Way.REREAD]
    ways = list(Way)
    kinds = layer_kinds(config)
    if not kinds <= {FULL, SLIDING, CHUNKED}:
        return ways[ways.index(Way.OWN_CACHE) :]
    if kinds != {FULL} or window_settings(config) or counts_from_mask(config):
        return ways[ways.index(Way.OWN_MASKS) :]
    return ways


def counts_from_mask(config: PreTrainedConfig) -> bool:
    """True for a model that derives positions from the padding mask, as with linear biases
    (ALiBi)."""
    config = config.get_text_config()
    return config.model_type == "bloom" or bool(getattr(config, "alibi", False))


def decoder_by(way: Way, model: PreTrainedModel, capacity: int, bfloat16: bool) -> Decoder:
    """A decoder. capacity: maximum tokens of a row, padding included; bfloat16: autocast is
    enabled."""
    if way is Way.REREAD:
        return RereadingDecoder(model)
    own_cache = way in (Way.OWN_CACHE, Way.EQUAL_LENGTHS)
    one_mask = way is Way.ONE_MASK
    return ModelDecoder(model, capacity, bfloat16, one_mask=one_mask, own_cache=own_cache)


def way_to_decode(model: PreTrainedModel) -> Way:
    """The first of `ways_of` a model by which prompts of different lengths get the logits of the
    model's plain forward passes, with its attention windows as they are and with narrow ones.

    Tried in the precision of its weights, without autocast, on its device.
    """
    *ways, last = ways_of(type(model), model.config)
    with torch.inference_mode(), torch.autocast(model.device.type, enabled=False):
        for way in ways:
            if _agrees(model, way) and _agrees_within_windows(model, way):
                return way
    return last


def _agrees_within_windows(model: PreTrainedModel, way: Way) -> bool:
    if not window_settings(model.config):
        return True
    with narrowed(model, NARROW):
        return _agrees(model, way)


def _agrees(model: PreTrainedModel, way: Way) -> bool:
    half = model.get_input_embeddings().weight.dtype.itemsize < 4
    tolerance = _HALF_TOLERANCE if half else _TOLERANCE
    try:
        return all(
            bool((got - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1))
            for got, expected in _compared(model, way)
        )
    except Exception:  # models and caches raise many types where they do not fit each other
        return False


def _compared(model: PreTrainedModel, way: Way) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Logits [rows, V] after the prompts, and after each token of their answers: decoded, and of
    plain forward passes. One row ends before the others."""
    embedding = model.get_input_embeddings().weight
    size, device = embedding.shape[0], embedding.device

    def tensor(tokens: Sequence[int]) -> torch.Tensor:
        return torch.tensor([token % size for token in tokens], device=device)

    for prompts in (_PROMPTS[:2], _PROMPTS[2:]) if way is Way.EQUAL_LENGTHS else (_PROMPTS,):
        rows = [(prompt, answer) for prompt in prompts for answer in _ANSWERS]
        plain = []
        for prompt, answer in rows:
            logits = model(input_ids=tensor((*prompt, *answer))[None], use_cache=False).logits[0]
            plain.append(logits[len(prompt) - 1 :])
        decoder = decoder_by(way, model, max(map(len, _PROMPTS)) + len(_ANSWERS[0]), False)
        got = decoder.read([tensor(prompt).tolist() for prompt in prompts])
        yield got, torch.stack([after[0] for after in plain[:: len(_ANSWERS)]])
        decoder.repeat(len(_ANSWERS))
        left = list(range(len(rows)))
        for step in range(len(_ANSWERS[0])):
            got = decoder.step(tensor([rows[row][1][step] for row in left]))
            yield got, torch.stack([plain[row][step + 1] for row in left])
            if not step:
                decoder.keep(torch.tensor([0, *range(2, len(left))], device=device))
                del left[1]
