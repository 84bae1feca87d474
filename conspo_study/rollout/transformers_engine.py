"""Generation with any decoder-only transformers model, on the weights that are being trained.

Each prompt is read once and its cache repeated for its n responses; rows that have stopped are
dropped from the batch while the others go on. Everything goes through the models' public
interface, but for the decoding steps of small Llamas (`fused_llama`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from typing import Any

import numpy as np
import torch

from conspo_study.records import Rollout
from conspo_study.rollout.engine import Draw, Sampling
from conspo_study.rollout.fused_llama import FusedLlama, can_fuse
from conspo_study.rollout.responses import as_rollouts
from conspo_study.rollout.sampling import next_tokens
from conspo_study.rollout.static_cache import static_cache

KEEP_ROWS = 0.8
"""The batch is compacted when no more than this share of its rows is still running."""


class TransformersEngine:
    """A `RolloutEngine` that shares the model object with the trainer, so no weights are copied.

    With `precision` bfloat16 it computes as the trainer does then: by autocast on float32 weights.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        batch_rows: int = 512,
        *,
        updates: Callable[[], int] = lambda: 0,
        stop_ids: Sequence[int] | None = None,
        precision: str = "float32",
    ) -> None:
        """`updates` tells how many optimiser steps have been applied to the model so far;
        `stop_ids` end a response, by default the tokenizer's end-of-sequence token alone; where
        there are none, only the limit does."""
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
        self._stops = frozenset((tokenizer.eos_token_id,) if stop_ids is None else stop_ids)
        self._flags = str(config._attn_implementation).startswith("flash")
        self._bfloat16 = precision == "bfloat16"

    def generate(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Rollout, ...]]:
        """See `RolloutEngine`."""
        rows: list[list[tuple[list[int], list[float]]]] = [[] for _ in prompts]
        uniforms = [_uniforms(seed, n, sampling) for seed in seeds]
        training = self._model.training
        self._model.eval()
        device = self._model.get_input_embeddings().weight.device
        bfloat16 = torch.autocast(device.type, torch.bfloat16, enabled=self._bfloat16)
        with torch.inference_mode(), bfloat16:
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
        updates = [self._updates()] * len(rows)
        return as_rollouts(rows, self._tokenizer, self._stops, updates)

    def begin(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> Draw:
        """See `RolloutEngine`. The trainer's own model samples, so this is all of the work."""
        drawn = self.generate(prompts, n, sampling, seeds)
        return lambda: drawn

    def rest(self) -> None:
        """Nothing to give back: the model is the trainer's."""

    def sync_s(self) -> float:
        """0: the weights are the trainer's."""
        return 0.0

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
        stops_S = torch.tensor(sorted(self._stops), dtype=torch.long, device=device)
        width = max(map(len, prompts))
        pads = torch.tensor([width - len(prompt) for prompt in prompts], device=device)
        cache = static_cache(self._layers, width + limit)
        logits_RV = self._prefill(prompts, pads, width, cache).repeat_interleave(per_prompt, dim=0)
        decode: Callable[..., torch.Tensor] = self._decode_step
        # Folded norms round differently in bfloat16 than those that the trainer applies.
        if can_fuse(self._model) and not self._bfloat16:
            decode = fused = FusedLlama(self._model, width + limit)
            fused.take_over(cache)
        cache.batch_repeat_interleave(per_prompt)
        pads_R = pads.repeat_interleave(per_prompt)
        mask_R = self._mask(pads_R, width + limit) if pads.any() else None

        active_R = torch.arange(len(pads_R), device=device)
        running_R = torch.ones_like(active_R, dtype=torch.bool)
        tokens_TR = torch.zeros((limit, len(pads_R)), dtype=torch.long, device=device)
        logp_TR = torch.zeros((limit, len(pads_R)), device=device)
        for t in range(limit):
            tokens_R, logp_R = next_tokens(logits_RV, uniforms_TR[t], sampling)
            tokens_TR[t, active_R] = tokens_R
            logp_TR[t, active_R] = logp_R
            running_R &= (tokens_R[:, None] != stops_S).all(dim=-1)
            alive = int(running_R.sum())
            if not alive or t + 1 == limit:
                break
            if alive <= KEEP_ROWS * len(running_R):
                keep = running_R.nonzero()[:, 0]
                active_R, tokens_R = active_R[keep], tokens_R[keep]
                uniforms_TR, pads_R = uniforms_TR[:, keep], pads_R[keep]
                mask_R = None if mask_R is None else mask_R[keep]
                running_R = running_R[keep]
                cache.batch_select_indices(keep)
            mask = None if mask_R is None else mask_R[..., : width + t + 1]
            logits_RV = decode(tokens_R, width + t - pads_R, mask, cache)
        return _cut_at_stop(tokens_TR, logp_TR, self._stops)

    def _prefill(
        self, prompts: list[Sequence[int]], pads: torch.Tensor, width: int, cache: Any
    ) -> torch.Tensor:
        """Read the prompts, padded on the left, into the cache; logits [P, V] of token 0."""
        rows = [[0] * (width - len(prompt)) + list(prompt) for prompt in prompts]
        positions = torch.arange(width, device=pads.device)
        mask = self._mask(pads, width) if pads.any() else None
        if mask is not None and not self._flags:
            future = torch.ones(width, width, device=pads.device).triu(1)
            mask = mask.masked_fill(future.bool(), torch.finfo(mask.dtype).min)
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
        mask_R: torch.Tensor | None,
        cache: Any,
    ) -> torch.Tensor:
        """Append one token per row to the cache; logits [R, V] of the next one."""
        logits_R1V: torch.Tensor = self._model(
            input_ids=tokens_R[:, None],
            attention_mask=mask_R,
            position_ids=positions_R[:, None],
            past_key_values=cache,
            logits_to_keep=1,
        ).logits
        return logits_R1V[:, 0]

    def _mask(self, pads_R: torch.Tensor, length: int) -> torch.Tensor:
        """What hides the first `pads` of `length` positions of each row.

        Added to attention scores [R, 1, 1, length]: four dimensions spare transformers from
        building a mask for every token. For flash attention, which positions to see [R, length].
        """
        hidden_RL = torch.arange(length, device=pads_R.device) < pads_R[:, None]
        if self._flags:
            return ~hidden_RL
        weight = self._model.get_input_embeddings().weight
        # As attention computes: cast to bfloat16, float32's lowest number would be -inf.
        dtype = torch.bfloat16 if self._bfloat16 else weight.dtype
        mask = torch.zeros(hidden_RL.shape, dtype=dtype, device=pads_R.device)
        return mask.masked_fill_(hidden_RL, torch.finfo(dtype).min)[:, None, None]


def _uniforms(seed: int, n: int, sampling: Sampling) -> Any:
    """One number in [0, 1) per sample and position [n, T]: all the randomness there is."""
    return np.random.default_rng(seed).random((n, sampling.max_new_tokens), dtype=np.float32)


def _cut_at_stop(
    tokens_TR: torch.Tensor, logp_TR: torch.Tensor, stops: Set[int]
) -> list[tuple[list[int], list[float]]]:
    rows = []
    for tokens, logprobs in zip(tokens_TR.T.tolist(), logp_TR.T.tolist(), strict=True):
        ends = (t + 1 for t, token in enumerate(tokens) if token in stops)
        length = next(ends, len(tokens))
        rows.append((tokens[:length], logprobs[:length]))
    return rows
