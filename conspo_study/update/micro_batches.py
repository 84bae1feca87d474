"""Cutting rollouts into micro-batches that fit a budget of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Tokens = Sequence[int]

COPY_COST = 0.25
"""Cost of a repeated prompt token, in tokens: only attention reads a copy of it."""


@dataclass(slots=True)
class Budget:
    """The most tokens of a micro-batch, and how they count."""

    tokens: int
    packed: bool = False
    """True for a model that reads one packed row, without padding and each prompt once."""
    halved: bool = False
    """True after memory ran out at twice as many."""

    def halve(self) -> bool:
        """Halve it, which is possible once; returns whether it was."""
        if self.halved or self.tokens < 2:
            return False
        self.tokens, self.halved = self.tokens // 2, True
        return True


@dataclass(frozen=True, slots=True)
class MicroBatches:
    """A plan: indices of the rollouts of each micro-batch, and the cost of all in tokens."""

    batches: list[list[int]]
    tokens: float


def plan_micro_batches(
    prompts: Sequence[Tokens], responses: Sequence[Tokens], budget: Budget
) -> MicroBatches:
    """Micro-batches of at most `budget.tokens`; a longer rollout gets one to itself.

    Packed rollouts stay in their order, so that those of a group are together. Others go shortest
    first and count as many tokens as the longest of their micro-batch.
    """
    if budget.packed:
        return _packed(prompts, responses, budget.tokens)
    lengths = [len(p) + len(r) for p, r in zip(prompts, responses, strict=True)]
    return _padded(lengths, budget.tokens)


def _packed(prompts: Sequence[Tokens], responses: Sequence[Tokens], limit: int) -> MicroBatches:
    batches: list[list[int]] = []
    held: set[tuple[int, ...]] = set()
    used = total = 0.0
    for index, (prompt, response) in enumerate(zip(map(tuple, prompts), responses, strict=True)):
        cost = len(response) + len(prompt) * (COPY_COST if prompt in held else 1.0)
        if not batches or used + cost > limit:
            batches.append([])
            held.clear()
            used, cost = 0.0, float(len(response) + len(prompt))
        batches[-1].append(index)
        held.add(prompt)
        used += cost
        total += cost
    return MicroBatches(batches, total)


def _padded(lengths: Sequence[int], limit: int) -> MicroBatches:
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        if not batches or (len(batches[-1]) + 1) * lengths[index] > limit:
            batches.append([])
        batches[-1].append(index)
    padded = sum(len(batch) * lengths[batch[-1]] for batch in batches)
    return MicroBatches(batches, float(padded))
