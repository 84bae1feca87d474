"""The results of a training step: metrics, credits and the responses that are kept for reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NamedTuple

from torch import Tensor

from conspo_study.objective import GroupBatch, TokenWeights
from conspo_study.objective.diagnostics import credits_of
from conspo_study.records import CreditRow, RolloutRow
from conspo_study.training.step_groups import StepGroup


class Signal(NamedTuple):
    """The training signal that an optimiser step gave to a rollout; fields as in `RolloutRow`."""

    score: float
    credit: float
    advantage: float | None


class UpdateResult(NamedTuple):
    """The results of the optimiser steps on one rollout batch; all empty where no worker has a
    group."""

    metrics: dict[str, float]
    """Of all workers."""
    credits: list[CreditRow]
    """Of all workers; empty where `update.store_credits_every` asks for none."""
    signals: list[list[Signal]]
    """By group and rollout of this worker, of the first step on the group."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """The results of a training step of one seed, over all workers."""

    metrics: dict[str, Any]
    """A row of `steps.jsonl`, without its seed and step."""
    credits: list[CreditRow]
    """In most steps none; see `update.store_credits_every`."""
    kept: list[RolloutRow]
    """Responses that are kept for reading, in most steps none; see `train.store_rollouts_every`."""


def signals_of(
    groups: Sequence[StepGroup], batch: GroupBatch, weights: TokenWeights
) -> list[list[Signal]]:
    """The signals of one optimiser step, by group and rollout of `batch`, which holds `groups`."""
    scores = iter(batch.rollout_mean(batch.logprobs_T).tolist())
    credits = iter(credits_of(batch, weights.weights_T).tolist())
    advantages = repeat(None) if weights.advantages_B is None else iter(_list(weights.advantages_B))
    return [
        [Signal(next(scores), next(credits), next(advantages)) for _ in group.rollouts]
        for group in groups
    ]


def credit_rows(
    update: int, groups: Sequence[StepGroup], signals: Sequence[Sequence[Signal]]
) -> list[CreditRow]:
    """The credits that optimiser step `update` on the rollout batch gave to the rollouts."""
    return [
        CreditRow(
            update=update,
            group=group.index,
            problem_id=group.group.problem_id,
            rollout=i,
            correct=group.group.correct[i],
            score=signal.score,
            credit=signal.credit,
            response_tokens=len(rollout.tokens),
        )
        for group, of_group in zip(groups, signals, strict=True)
        for i, (rollout, signal) in enumerate(zip(group.rollouts, of_group, strict=True))
    ]


def _list(values_B: Tensor) -> list[float]:
    values: list[float] = values_B.tolist()
    return values
