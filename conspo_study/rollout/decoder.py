"""What reads prompts and then one token per row: a decoder with the keys and values of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from conspo_study.rollout.decodable import counts_from_mask
from conspo_study.rollout.static_cache import static_cache


class Decoder(Protocol):
    """Rows of tokens, one per response, that grow together by a token at a time.

    Rows of different length are padded on the left, where each row hides what precedes it.
    """

    def read(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Begin with a row for each prompt; logits [P, V] of the token that follows it."""

    def repeat(self, times: int) -> None:
        """Continue each row as `times` rows, next to each other."""

    def keep(self, rows_K: torch.Tensor) -> None:
        """Continue with these rows only, in this order."""

    def step(self, tokens_R: torch.Tensor) -> torch.Tensor:
        """Append a token to each row; logits [R, V] of the next one."""


def left_padded(
    prompts: Sequence[Sequence[int]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens [P, L] with any token as padding, and how many of those each row has [P]."""
    width = max(map(len, prompts))
    rows = [[0] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    pads = [width - len(prompt) for prompt in prompts]
    return torch.tensor(rows, device=device), torch.tensor(pads, device=device)


def hiding(pads_R: torch.Tensor, length: int, dtype: torch.dtype) -> torch.Tensor:
    """What is added to attention scores to hide the padding [R, 1, 1, length]."""
    hidden_RL = torch.arange(length, device=pads_R.device) < pads_R[:, None]
    mask_RL = torch.zeros(hidden_RL.shape, dtype=dtype, device=pads_R.device)
    return mask_RL.masked_fill_(hidden_RL, torch.finfo(dtype).min)[:, None, None]


def hiding_future(mask_R11L: torch.Tensor) -> torch.Tensor:
    """The same for all positions of a prompt, which do not see those behind them: [R, 1, L, L]."""
    length = mask_R11L.shape[-1]
    future_LL = torch.ones(length, length, device=mask_R11L.device).triu(1).bool()
    return mask_R11L.masked_fill(future_LL, torch.finfo(mask_R11L.dtype).min)


class ModelDecoder:
    """Decodes with any transformers model of full attention, through its public interface."""

    def __init__(self, model: Any, capacity: int, bfloat16: bool) -> None:
        """capacity: most tokens of a row, padding included; bfloat16: what autocast is set to."""
        config = model.config.get_text_config()
        self._model = model
        self._capacity = capacity
        self._cache = static_cache(config.num_hidden_layers, capacity)
        flash = str(config._attn_implementation).startswith("flash")
        self._flags = flash or counts_from_mask(config)
        weight = model.get_input_embeddings().weight
        self._device = weight.device
        # As attention computes: cast to bfloat16, float32's lowest number would be -inf.
        self._dtype = torch.bfloat16 if bfloat16 else weight.dtype
        self._mask: torch.Tensor | None = None

    def read(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """See `Decoder`."""
        tokens_PL, self._pads_R = left_padded(prompts, self._device)
        width = tokens_PL.shape[1]
        mask = None
        if self._pads_R.any():
            self._mask = self._hiding()
            mask = self._mask[..., :width]
            if not self._flags:
                mask = hiding_future(mask)
        positions_L = torch.arange(width, device=self._device)
        return self._logits(tokens_PL, (positions_L - self._pads_R[:, None]).clamp(min=0), mask)

    def repeat(self, times: int) -> None:
        """See `Decoder`."""
        self._cache.batch_repeat_interleave(times)
        self._pads_R = self._pads_R.repeat_interleave(times)
        if self._mask is not None:
            self._mask = self._mask.repeat_interleave(times, dim=0)

    def keep(self, rows_K: torch.Tensor) -> None:
        """See `Decoder`."""
        self._cache.batch_select_indices(rows_K)
        self._pads_R = self._pads_R[rows_K]
        if self._mask is not None:
            self._mask = self._mask[rows_K]

    def step(self, tokens_R: torch.Tensor) -> torch.Tensor:
        """See `Decoder`."""
        length = self._cache.get_seq_length()
        mask = None if self._mask is None else self._mask[..., : length + 1]
        return self._logits(tokens_R[:, None], (length - self._pads_R)[:, None], mask)

    def _logits(
        self, tokens_RL: torch.Tensor, positions_RL: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        # A mask of four dimensions spares transformers from building one for every token.
        logits_R1V: torch.Tensor = self._model(
            input_ids=tokens_RL,
            attention_mask=mask,
            position_ids=positions_RL,
            past_key_values=self._cache,
            logits_to_keep=1,
        ).logits
        return logits_R1V[:, 0]

    def _hiding(self) -> torch.Tensor:
        """For those that take no other mask, which positions to see [R, capacity]."""
        if self._flags:
            return torch.arange(self._capacity, device=self._device) >= self._pads_R[:, None]
        return hiding(self._pads_R, self._capacity, self._dtype)
