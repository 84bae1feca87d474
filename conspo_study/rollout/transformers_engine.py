"""Generation with any decoder-only transformers model, on the weights that are being trained.

Each prompt is read once and its cache repeated for its n responses; rows that have stopped are
dropped from the batch while the others go on. Everything goes through the models' public
interface, but for the decoding steps of small Llamas (`fused_llama`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from conspo_study.records import Rollout
from conspo_study.rollout.engine import Sampling
from conspo_study.rollout.fused_llama import FusedLlama, can_fuse
from conspo_study.rollout.responses import as_rollouts
from conspo_study.rollout.sampling import next_tokens
from conspo_study.rollout.static_cache import static_cache

KEEP_ROWS = 0.8
"""The batch is compacted when no more than this share of its rows is still running."""


class TransformersEngine:
    """A `RolloutEngine` that shares the model object with the trainer, so no weights are copied."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        batch_rows: int = 512,
        updates: Callable[[], int] = lambda: 0,
    ) -> None:
        """`updates` tells how many optimiser steps have been applied to the model so far."""
        config = model.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
        if unsupported := kinds - {"full_attention"}:
            raise ValueError(
                f"the transformers engine cannot decode layers of type {sorted(unsupported)}, "
                "only full attention: use another model"
            )
        self._model = model
        self._tokenizer = tokenizer
        self._batch_rows = batch_rows
        self._updates = updates
        self._layers: int = config.num_hidden_layers

    def generate(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Rollout, ...]]:
        """See `RolloutEngine`."""
        rows: list[list[tuple[list[int], list[float]]]] = [[] for _ in prompts]
        uniforms = [_uniforms(seed, n, sampling) for seed in seeds]
        training = self._model.training
        self._model.eval()
        with torch.inference_mode():
            for chosen, samples in self._batches(prompts, n):
                responses = self._decode(
                    [prompts[p] for p in chosen],
                    np.stack([uniforms[p][samples] for p in chosen]),
                    sampling,
                )
                per_prompt = len(responses) // len(chosen)
                for i, p in enumerate(chosen):
                    rows[p].extend(responses[i * per_prompt : (i + 1) * per_prompt])
        self._model.train(training)
        return as_rollouts(rows, self._tokenizer, self._updates())

    def rest(self) -> None:
        """Nothing to give back: the model is the trainer's."""

    def take_restarts(self) -> list[str]:
        """None: there is no process."""
        return []

    def _batches(
        self, prompts: Sequence[Sequence[int]], n: int
    ) -> Iterator[tuple[list[int], slice]]:
        """Prompts of similar length that are decoded together, with the samples drawn of each."""
        order = sorted(range(len(prompts)), key=lambda p: len(prompts[p]))
        together = max(1, self._batch_rows // n)
        for start in range(0, len(order), together):
            for first in range(0, n, self._batch_rows):
                yield order[start : start + together], slice(first, first + self._batch_rows)

    def _decode(
        self, prompts: list[Sequence[int]], uniforms_PGT: Any, sampling: Sampling
    ) -> list[tuple[list[int], list[float]]]:
        """Tokens and log-probs of each row, prompts outermost; R = P * G rows."""
        device = self._model.get_input_embeddings().weight.device
        per_prompt, limit = uniforms_PGT.shape[1:]
        uniforms_TR = torch.from_numpy(uniforms_PGT.reshape(-1, limit).T.copy()).to(device)
        eos = self._tokenizer.eos_token_id
        width = max(map(len, prompts))
        pads = torch.tensor([width - len(prompt) for prompt in prompts], device=device)
        cache = static_cache(self._layers, width + limit)
        logits_RV = self._prefill(prompts, pads, width, cache).repeat_interleave(per_prompt, dim=0)
        cache.batch_repeat_interleave(per_prompt)
        pads_R = pads.repeat_interleave(per_prompt)
        mask_R11L = _padding_mask(pads_R, width + limit, logits_RV.dtype) if pads.any() else None

        fused = can_fuse(self._model)
        decode = FusedLlama(self._model, width + limit) if fused else self._decode_step

        active_R = torch.arange(len(pads_R), device=device)
        running_R = torch.ones_like(active_R, dtype=torch.bool)
        tokens_TR = torch.full((limit, len(pads_R)), eos, device=device)
        logp_TR = torch.zeros((limit, len(pads_R)), device=device)
        for t in range(limit):
            tokens_R, logp_R = next_tokens(logits_RV, uniforms_TR[t], sampling)
            tokens_TR[t, active_R] = tokens_R
            logp_TR[t, active_R] = logp_R
            running_R &= tokens_R != eos
            alive = int(running_R.sum())
            if not alive or t + 1 == limit:
                break
            if alive <= KEEP_ROWS * len(running_R):
                keep = running_R.nonzero()[:, 0]
                active_R, tokens_R = active_R[keep], tokens_R[keep]
                uniforms_TR, pads_R = uniforms_TR[:, keep], pads_R[keep]
                mask_R11L = None if mask_R11L is None else mask_R11L[keep]
                running_R = running_R[keep]
                cache.batch_select_indices(keep)
            mask = None if mask_R11L is None else mask_R11L[..., : width + t + 1]
            logits_RV = decode(tokens_R, width + t - pads_R, mask, cache)
        return _cut_at_eos(tokens_TR, logp_TR, eos)

    def _prefill(
        self, prompts: list[Sequence[int]], pads: torch.Tensor, width: int, cache: Any
    ) -> torch.Tensor:
        """Read the prompts, padded on the left, into the cache; logits [P, V] of token 0."""
        rows = [[0] * (width - len(prompt)) + list(prompt) for prompt in prompts]
        positions = torch.arange(width, device=pads.device)
        mask = None
        if pads.any():
            dtype = self._model.get_input_embeddings().weight.dtype
            future = torch.ones(width, width, device=pads.device).triu(1)
            mask = _padding_mask(pads, width, dtype).masked_fill(
                future.bool(), torch.finfo(dtype).min
            )
        logits_P1V: torch.Tensor = self._model(
            input_ids=torch.tensor(rows, device=pads.device),
            attention_mask=mask,
            position_ids=(positions - pads[:, None]).clamp(min=0),
            past_key_values=cache,
            logits_to_keep=1,
        ).logits
        return logits_P1V[:, 0]

    def _decode_step(
        self,
        tokens_R: torch.Tensor,
        positions_R: torch.Tensor,
        mask_R11L: torch.Tensor | None,
        cache: Any,
    ) -> torch.Tensor:
        """Append one token per row to the cache; logits [R, V] of the next one."""
        logits_R1V: torch.Tensor = self._model(
            input_ids=tokens_R[:, None],
            attention_mask=mask_R11L,
            position_ids=positions_R[:, None],
            past_key_values=cache,
            logits_to_keep=1,
        ).logits
        return logits_R1V[:, 0]


def _uniforms(seed: int, n: int, sampling: Sampling) -> Any:
    """One number in [0, 1) per sample and position [n, T]: all the randomness there is."""
    return np.random.default_rng(seed).random((n, sampling.max_new_tokens), dtype=np.float32)


def _padding_mask(pads_R: torch.Tensor, length: int, dtype: torch.dtype) -> torch.Tensor:
    """What is added to attention scores [R, 1, 1, length]: the first `pads` positions are hidden.

    Passing four dimensions spares transformers from building a mask for every token.
    """
    hidden = torch.arange(length, device=pads_R.device) < pads_R[:, None]
    mask = torch.zeros(hidden.shape, dtype=dtype, device=pads_R.device)
    return mask.masked_fill_(hidden, torch.finfo(dtype).min)[:, None, None]


def _cut_at_eos(
    tokens_TR: torch.Tensor, logp_TR: torch.Tensor, eos: int
) -> list[tuple[list[int], list[float]]]:
    rows = []
    for tokens, logprobs in zip(tokens_TR.T.tolist(), logp_TR.T.tolist(), strict=True):
        length = tokens.index(eos) + 1 if eos in tokens else len(tokens)
        rows.append((tokens[:length], logprobs[:length]))
    return rows
