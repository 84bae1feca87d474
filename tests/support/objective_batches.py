"""Random batches of groups for the objective tests: ragged, lopsided, single-token, extreme."""

from __future__ import annotations

from dataclasses import replace

import torch

from conspo_study.objective import GroupBatch

SHAPES = {
    "ragged": ([3, 7, 1, 5, 9, 2, 4, 4], [5, 3], [1, 0, 0, 1, 0, 0, 1, 0]),
    "one positive": ([4, 4, 4, 4], [4], [1, 0, 0, 0]),
    "one negative": ([2, 8, 3, 5], [4], [1, 1, 0, 1]),
    "single tokens": ([1, 1, 1, 1], [2, 2], [1, 0, 0, 1]),
    "extreme": ([2, 3, 1, 6, 5, 4], [2, 4], [0, 1, 1, 0, 0, 1]),
}
LIMIT = 12
"""A response limit that no response of these batches reaches."""


def random_batch(
    shape: str = "ragged",
    seed: int = 0,
    scale: float = 1.0,
    *,
    drift: float = 0.0,
    on_policy: bool = False,
    **extras: object,
) -> GroupBatch:
    """A float64 batch whose policy has moved a little from the one that sampled.

    The extreme batch has moved by up to 5 nats per token, from log-probabilities down to -1e4.
    `drift` lowers all new log-probabilities, which raises the KL from the old ones.
    """
    lengths, sizes, correct = SHAPES[shape]
    generator = torch.Generator().manual_seed(seed)
    scale = 1e4 if shape == "extreme" else scale
    old = -scale * torch.rand(sum(lengths), generator=generator, dtype=torch.float64)
    move = 0.3 * torch.randn(len(old), generator=generator, dtype=torch.float64)
    if shape == "extreme":
        move = 5 * torch.linspace(-1, 1, len(old), dtype=torch.float64).roll(7)
    new = old.clone() if on_policy else old + move - drift
    return GroupBatch.of(
        new.requires_grad_(),
        old,
        lengths,
        sizes,
        [bool(value) for value in correct],
        **{"max_response_length": LIMIT, **extras},
    )


def gradient(loss: torch.Tensor, batch: GroupBatch) -> torch.Tensor:
    """d loss / d log pi of each token."""
    return torch.autograd.grad(loss, batch.logprobs_T)[0]


def shifted(batch: GroupBatch, shift_Q: list[float]) -> GroupBatch:
    """The batch with a constant added to all log-probabilities of each group."""
    shift_T = torch.tensor(shift_Q, dtype=torch.float64)[batch.group_B][batch.rollout_T]
    return replace(batch, logprobs_T=(batch.logprobs_T.detach() + shift_T).requires_grad_())


def select(batch: GroupBatch, groups: list[int]) -> tuple[GroupBatch, torch.Tensor]:
    """These groups, in this order, as a part of the same step, and the places of their tokens.

    Like a worker's part, it knows the step's totals, KL and response limit from the others.
    """
    rollouts = [i for g in groups for i, own in enumerate(batch.group_B.tolist()) if own == g]
    starts = (batch.lengths_B.cumsum(0) - batch.lengths_B).tolist()
    lengths = batch.lengths_B[rollouts].tolist()
    tokens_T = torch.cat(
        [torch.arange(starts[i], starts[i] + n) for i, n in zip(rollouts, lengths, strict=True)]
    )
    correction_T = batch.correction_T
    part = GroupBatch.of(
        batch.logprobs_T.detach()[tokens_T].requires_grad_(),
        batch.old_logprobs_T[tokens_T],
        lengths,
        batch.sizes_Q[groups].tolist(),
        batch.correct_B[rollouts].tolist(),
        batch.totals,
        rewards=batch.rewards_B[rollouts].tolist(),
        kl_old=batch.kl_old,
        max_response_length=batch.max_response_length,
        correction_T=None if correction_T is None else correction_T[tokens_T],
    )
    return part, tokens_T
