"""Decoders: they read prompts, then one token per row at a time, and keep keys and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from transformers import DynamicCache

from conspo_study.rollout.static_cache import static_cache

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel


class Decoder(Protocol):
    """Rows of tokens, one per response, that grow together, one token at a time.

    Rows of different length are padded on the left; the padding is masked.
    """

    def read(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Start with one row per prompt. Returns logits [P, V] of the next tokens."""

    def repeat(self, times: int) -> None:
        """Replace each row by `times` copies, next to each other."""

    def keep(self, rows_K: torch.Tensor) -> None:
        """Keep only these rows, in this order."""

    def step(self, tokens_R: torch.Tensor) -> torch.Tensor:
        """Append a token to each row. Returns logits [R, V] of the next tokens."""


def left_padded(
    prompts: Sequence[Sequence[int]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens [P, L], padded on the left with any token, and the padding of each row [P]."""
    width = max(map(len, prompts))
    rows = [[0] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    pads = [width - len(prompt) for prompt in prompts]
    return torch.tensor(rows, device=device), torch.tensor(pads, device=device)


def hiding(pads_R: torch.Tensor, length: int, dtype: torch.dtype) -> torch.Tensor:
    """Additive attention mask that hides the padding [R, 1, 1, length]."""
    hidden_RL = torch.arange(length, device=pads_R.device) < pads_R[:, None]
    mask_RL = torch.zeros(hidden_RL.shape, dtype=dtype, device=pads_R.device)
    return mask_RL.masked_fill_(hidden_RL, torch.finfo(dtype).min)[:, None, None]


def hiding_future(mask_R11L: torch.Tensor) -> torch.Tensor:
    """`mask_R11L` extended to a causal mask for all positions of a prompt: [R, 1, L, L]."""
    length = mask_R11L.shape[-1]
    future_LL = torch.ones(length, length, device=mask_R11L.device).triu(1).bool()
    return mask_R11L.masked_fill(future_LL, torch.finfo(mask_R11L.dtype).min)


class ModelDecoder:
    """Decodes with a transformers model that keeps what it has read, through its public
    interface."""

    def __init__(
        self,
        model: PreTrainedModel,
        capacity: int,
        bfloat16: bool = False,
        *,
        one_mask: bool = True,
        own_cache: bool = False,
    ) -> None:
        """capacity: maximum tokens of a row, padding included; bfloat16: autocast is enabled.
        one_mask: all layers get the same mask, made here; or else the model makes their masks from
        that of the padding. own_cache: the model's own kind of cache, for layers that keep
        something else than all keys and values."""
        self._model = model
        self._capacity = capacity
        self._cache: Cache
        if own_cache:
            self._cache = DynamicCache(config=model.config)
        else:
            layers = model.config.get_text_config().num_hidden_layers
            self._cache = static_cache(layers, capacity)
        self._one_mask = one_mask
        weight = model.get_input_embeddings().weight
        self._device = weight.device
        # The compute dtype: cast to bfloat16, float32's lowest number would become -inf.
        self._dtype = torch.bfloat16 if bfloat16 else weight.dtype
        self._length = 0
        self._mask: torch.Tensor | None = None

    def read(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """See `Decoder`."""
        tokens_PL, self._pads_R = left_padded(prompts, self._device)
        width = tokens_PL.shape[1]
        mask = None
        if self._pads_R.any():
            self._mask = self._hiding()
            mask = self._mask[..., :width]
            if self._one_mask:
                mask = hiding_future(mask)
        positions_L = torch.arange(width, device=self._device)
        return self._logits(tokens_PL, (positions_L - self._pads_R[:, None]).clamp(min=0), mask)

    def repeat(self, times: int) -> None:
        """See `Decoder`."""
        rows_R = torch.arange(len(self._pads_R), device=self._device).repeat_interleave(times)
        self._cache.reorder_cache(rows_R)
        self._pads_R = self._pads_R[rows_R]
        if self._mask is not None:
            self._mask = self._mask[rows_R]

    def keep(self, rows_K: torch.Tensor) -> None:
        """See `Decoder`."""
        self._cache.reorder_cache(rows_K)
        self._pads_R = self._pads_R[rows_K]
        if self._mask is not None:
            self._mask = self._mask[rows_K]

    def step(self, tokens_R: torch.Tensor) -> torch.Tensor:
        """See `Decoder`."""
        mask = None if self._mask is None else self._mask[..., : self._length + 1]
        return self._logits(tokens_R[:, None], (self._length - self._pads_R)[:, None], mask)

    def _logits(
        self, tokens_RL: torch.Tensor, positions_RL: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        self._length += tokens_RL.shape[1]
        # With a mask of four dimensions transformers builds none, which it would for every token.
        logits_R1V: torch.Tensor = self._model(
            input_ids=tokens_RL,
            attention_mask=mask,
            position_ids=positions_RL,
            past_key_values=self._cache,
            logits_to_keep=1,
        ).logits
        return logits_R1V[:, 0]

    def _hiding(self) -> torch.Tensor:
        """The mask of the padding: additive [R, 1, 1, capacity], or boolean [R, capacity]."""
        if self._one_mask:
            return hiding(self._pads_R, self._capacity, self._dtype)
        return torch.arange(self._capacity, device=self._device) >= self._pads_R[:, None]
