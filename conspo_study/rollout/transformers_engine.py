"""Generation with any decoder-only transformers model, from the weights that are being trained.

Each prompt is read once and its cache repeated for its n responses; finished rows are dropped from
the batch while the others continue. It uses the models' public interface, except for small Llamas
(`fused_llama`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from conspo_study.records import Rollout
from conspo_study.rollout.decodable import Way, decoder_by, way_to_decode
from conspo_study.rollout.decoder import Decoder
from conspo_study.rollout.engine import Draw, PromptRefused, Sampling
from conspo_study.rollout.fused_llama import FusedLlama, can_fuse
from conspo_study.rollout.responses import as_rollouts
from conspo_study.rollout.sampling import BLOCK, next_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

KEEP_ROWS = 0.8
"""The batch is compacted when at most this fraction of its rows is still running."""


class TransformersEngine:
    """A `RolloutEngine` that shares the model object with the trainer, so no weights are copied.

    With `precision` bfloat16 it computes like the trainer, by autocast on float32 weights.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        batch_rows: int = 512,
        *,
        updates: Callable[[], int] = lambda: 0,
        stop_ids: Sequence[int] | None = None,
        precision: str = "float32",
        longest: int | None = None,
    ) -> None:
        """updates: returns the number of optimiser steps applied to the model so far. stop_ids:
        tokens that end a response, by default the tokenizer's end-of-sequence token; if empty, only
        the limit ends it. longest: maximum tokens of a prompt with its response that the model
        supports; None: unlimited."""
        self._model = model
        self._tokenizer = tokenizer
        self._batch_rows = batch_rows
        self._updates = updates
        self._stops = frozenset((tokenizer.eos_token_id,) if stop_ids is None else stop_ids)
        self._vocabulary = model.get_input_embeddings().weight.shape[0]
        self._longest = longest
        self._bfloat16 = precision == "bfloat16"
        # In bfloat16, folded norms round differently from the trainer's.
        self._fuses = can_fuse(model) and not self._bfloat16
        self._way: Way | None = None

    def generate(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Rollout, ...]]:
        """See `RolloutEngine`. Raises FloatingPointError for non-finite logits."""
        self._check(prompts, sampling.max_new_tokens)
        rows: list[list[tuple[list[int], list[float]]]] = [[] for _ in prompts]
        uniforms = [self._uniforms(seed, n, sampling) for seed in seeds]
        training = self._model.training
        if training:
            self._model.eval()
        if self._way is None and not self._fuses:
            self._way = way_to_decode(self._model)
        device = self._model.get_input_embeddings().weight.device
        bfloat16 = torch.autocast(device.type, torch.bfloat16, enabled=self._bfloat16)
        with torch.inference_mode(), bfloat16:
            waiting = deque(self._batches(prompts, n))
            while waiting:
                chosen, samples = waiting.popleft()
                try:
                    responses = self._decode(
                        [prompts[p] for p in chosen],
                        np.stack([uniforms[p][samples] for p in chosen]),
                        sampling,
                    )
                except torch.OutOfMemoryError:
                    self._halve(len(chosen) * len(uniforms[0][samples]))
                    waiting.extendleft(reversed(_halves(chosen, samples, n)))
                    continue
                per_prompt = len(responses) // len(chosen)
                for i, p in enumerate(chosen):
                    rows[p].extend(responses[i * per_prompt : (i + 1) * per_prompt])
        if training:
            self._model.train()
        updates = [self._updates()] * len(rows)
        return as_rollouts(rows, self._tokenizer, self._stops, updates)

    def begin(
        self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> Draw:
        """See `RolloutEngine`. Samples everything now, since the model is the trainer's."""
        drawn = self.generate(prompts, n, sampling, seeds)
        return lambda: drawn

    def rest(self) -> None:
        """Do nothing: the model is the trainer's."""

    def sync_s(self) -> float:
        """Zero: the weights are the trainer's."""
        return 0.0

    def take_restarts(self) -> list[str]:
        """An empty list: there is no engine process."""
        return []

    def _check(self, prompts: Sequence[Sequence[int]], limit: int) -> None:
        longest = max(map(len, prompts), default=0) + limit
        if self._longest is not None and longest > self._longest:
            raise PromptRefused(
                f"a prompt with its response may have {longest} tokens, but the model supports at "
                f"most {self._longest}: lower max_new_tokens of rollout or evaluation, or use "
                "shorter problems"
            )
        largest = max(map(max, filter(None, prompts)), default=0)
        if largest >= self._vocabulary:
            raise PromptRefused(
                f"a prompt contains the token {largest}, but the model has embeddings of "
                f"{self._vocabulary} tokens: its tokenizer belongs to another model"
            )

    def _uniforms(self, seed: int, n: int, sampling: Sampling) -> NDArray[np.floating[Any]]:
        """Uniform numbers in [0, 1) per sample and position [n, T]: the only source of randomness.
        In float32 they are too coarse to reach all tokens of a large vocabulary."""
        generator, shape = np.random.default_rng(seed), (n, sampling.max_new_tokens)
        if self._vocabulary <= BLOCK:
            return generator.random(shape, dtype=np.float32)
        return generator.random(shape)

    def _halve(self, rows: int) -> None:
        """Decode half as many rows at once, from the next call on. Raises torch.OutOfMemoryError
        where memory ran out with a single row."""
        if rows < 2:
            raise torch.OutOfMemoryError(
                "the GPU has no room for the keys and values of a single response: lower "
                "rollout.max_new_tokens and evaluation.max_new_tokens"
            )
        self._batch_rows = min(self._batch_rows, max(1, rows // 2))
        torch.cuda.empty_cache()

    def _batches(
        self, prompts: Sequence[Sequence[int]], n: int
    ) -> Iterator[tuple[list[int], slice]]:
        """Indices of prompts of similar length to decode together, and the samples of each."""
        order = sorted(range(len(prompts)), key=lambda p: len(prompts[p]))
        alike = [order]
        if self._way is Way.EQUAL_LENGTHS:
            alike = [list(group) for _, group in groupby(order, key=lambda p: len(prompts[p]))]
        together = max(1, self._batch_rows // n)
        for chosen in alike:
            for start in range(0, len(chosen), together):
                for first in range(0, n, self._batch_rows):
                    yield chosen[start : start + together], slice(first, first + self._batch_rows)

    def _decode(
        self,
        prompts: list[Sequence[int]],
        uniforms_PGT: NDArray[np.floating[Any]],
        sampling: Sampling,
    ) -> list[tuple[list[int], list[float]]]:
        """Tokens and log-probabilities of each row, prompts outermost; R = P * G rows."""
        device = self._model.get_input_embeddings().weight.device
        per_prompt, limit = uniforms_PGT.shape[1:]
        uniforms_TR = torch.from_numpy(uniforms_PGT.reshape(-1, limit).T.copy()).to(device)
        decoder = self._decoder(max(map(len, prompts)) + limit)
        logits_RV = decoder.read(prompts).repeat_interleave(per_prompt, dim=0)
        decoder.repeat(per_prompt)

        active_R = torch.arange(len(logits_RV), device=device)
        running_R = torch.ones_like(active_R, dtype=torch.bool)
        drawn: list[_Drawn] = []
        for t in range(limit):
            tokens_R, logp_R = next_tokens(logits_RV, uniforms_TR[t], sampling)
            drawn.append(_Drawn(active_R, tokens_R, logp_R))
            for stop in self._stops:
                running_R &= tokens_R != stop
            running = int(running_R.sum())
            if not running or t + 1 == limit:
                break
            if running <= KEEP_ROWS * len(running_R):
                keep = running_R.nonzero()[:, 0]
                active_R, tokens_R = active_R[keep], tokens_R[keep]
                uniforms_TR, running_R = uniforms_TR[:, keep], running_R[keep]
                decoder.keep(keep)
            logits_RV = decoder.step(tokens_R)
        return _cut_at_stop(drawn, self._stops)

    def _decoder(self, capacity: int) -> Decoder:
        if self._way is None:
            return FusedLlama(self._model, capacity)
        return decoder_by(self._way, self._model, capacity, self._bfloat16)


def _halves(chosen: list[int], samples: slice, n: int) -> list[tuple[list[int], slice]]:
    """A batch of prompts and samples as two: half of the prompts, or of a single one's samples."""
    if len(chosen) > 1:
        half = len(chosen) // 2
        return [(chosen[:half], samples), (chosen[half:], samples)]
    start, stop, _ = samples.indices(n)
    middle = (start + stop) // 2
    return [(chosen, slice(start, middle)), (chosen, slice(middle, stop))]


class _Drawn(NamedTuple):
    """The tokens sampled in one step, and their rows."""

    rows_R: torch.Tensor
    tokens_R: torch.Tensor
    logp_R: torch.Tensor


def _cut_at_stop(drawn: Sequence[_Drawn], stops: Set[int]) -> list[tuple[list[int], list[float]]]:
    """Tokens and log-probabilities of each row, up to its first stop token. Raises
    FloatingPointError for non-finite logits, as of a diverged policy."""
    rows_N, tokens_N, logp_N = (torch.cat(part).cpu().numpy() for part in zip(*drawn, strict=True))
    if not np.isfinite(logp_N).all():
        raise FloatingPointError("the policy's logits are not finite")
    steps_N = np.repeat(np.arange(len(drawn)), [len(step.rows_R) for step in drawn])
    shape = len(drawn[0].rows_R), len(drawn)
    tokens_RT, logp_RT = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    tokens_RT[rows_N, steps_N], logp_RT[rows_N, steps_N] = tokens_N, logp_N
    ends_RT = np.isin(tokens_RT, list(stops))
    lengths_R = np.where(ends_RT.any(axis=1), ends_RT.argmax(axis=1) + 1, len(drawn))
    return [
        (tokens[:length], logprobs[:length])
        for tokens, logprobs, length in zip(
            tokens_RT.tolist(), logp_RT.tolist(), lengths_R, strict=True
        )
    ]
