"""Decodes by reading every row anew for each token: right for whatever the trainer can score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from conspo_study.policy.output_head import decoder_of, logit_transform

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class RereadingDecoder:
    """A `Decoder` without a cache. Rows are padded on the right, where a causal model does not
    look, so they need no mask."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._rows: list[list[int]] = []

    def read(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """See `Decoder`."""
        self._rows = [list(prompt) for prompt in prompts]
        return self._logits()

    def repeat(self, times: int) -> None:
        """See `Decoder`."""
        self._rows = [list(row) for row in self._rows for _ in range(times)]

    def keep(self, rows_K: torch.Tensor) -> None:
        """See `Decoder`."""
        self._rows = [self._rows[row] for row in rows_K.tolist()]

    def step(self, tokens_R: torch.Tensor) -> torch.Tensor:
        """See `Decoder`."""
        for row, token in zip(self._rows, tokens_R.tolist(), strict=True):
            row.append(token)
        return self._logits()

    def _logits(self) -> torch.Tensor:
        device = self._model.get_input_embeddings().weight.device
        width = max(map(len, self._rows))
        tokens_RL = torch.tensor([[*row, *[0] * (width - len(row))] for row in self._rows])
        hidden_RLD = decoder_of(self._model)(
            input_ids=tokens_RL.to(device), use_cache=False
        ).last_hidden_state
        last_R = torch.tensor([len(row) - 1 for row in self._rows], device=device)
        hidden_RD = hidden_RLD[torch.arange(len(last_R), device=device), last_R]
        logits_RV: torch.Tensor = self._model.get_output_embeddings()(hidden_RD)
        return logit_transform(self._model)(logits_RV)
