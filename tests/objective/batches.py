"""Random batches of groups for the objective tests: ragged, lopsided, single-token, extreme."""

from __future__ import annotations

import torch

from conspo_study.objective import GroupBatch

SHAPES = {
    "ragged": ([3, 7, 1, 5, 9, 2, 4, 4], [5, 3], [1, 0, 0, 1, 0, 0, 1, 0]),
    "one positive": ([4, 4, 4, 4], [4], [1, 0, 0, 0]),
    "one negative": ([2, 8, 3, 5], [4], [1, 1, 0, 1]),
    "single tokens": ([1, 1, 1, 1], [2, 2], [1, 0, 0, 1]),
}


def random_batch(shape: str = "ragged", seed: int = 0, scale: float = 1.0) -> GroupBatch:
    """A float64 batch whose policy has moved a little from the one that sampled."""
    lengths, sizes, correct = SHAPES[shape]
    generator = torch.Generator().manual_seed(seed)
    old = -scale * torch.rand(sum(lengths), generator=generator, dtype=torch.float64)
    new = old + 0.3 * torch.randn(len(old), generator=generator, dtype=torch.float64)
    return GroupBatch.of(
        new.requires_grad_(), old, lengths, sizes, [bool(value) for value in correct]
    )
