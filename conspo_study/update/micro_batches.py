"""Cutting rollouts into micro-batches of similar length."""

from __future__ import annotations

from collections.abc import Sequence

CUT_COST_TOKENS = 256
"""Padded tokens that a further cut must save: about what one more forward pass costs to launch."""


def plan_micro_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of `lengths` in micro-batches, shortest first.

    Each micro-batch, padded to its longest member, holds at most `budget` tokens (a single longer
    sequence still gets one of its own), and is cut further where that saves enough padding.
    """
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    full: list[list[int]] = []
    current: list[int] = []
    for index in order:
        if current and (len(current) + 1) * lengths[index] > budget:
            full.append(current)
            current = []
        current.append(index)
    if current:
        full.append(current)
    return [part for batch in full for part in _cut(batch, lengths)]


def padded_tokens(batches: Sequence[Sequence[int]], lengths: Sequence[int]) -> int:
    """Tokens that the forward passes see, padding included."""
    return sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)


def _cut(batch: list[int], lengths: Sequence[int]) -> list[list[int]]:
    """Cut a length-sorted batch in two, again and again, where padding saved exceeds the cost."""
    longest = lengths[batch[-1]]
    saving, cut = max(
        ((size * (longest - lengths[batch[size - 1]]), size) for size in range(1, len(batch))),
        default=(0, 0),
    )
    if saving <= CUT_COST_TOKENS:
        return [batch]
    return _cut(batch[:cut], lengths) + _cut(batch[cut:], lengths)
