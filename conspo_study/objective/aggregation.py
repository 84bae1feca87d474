"""Aggregations of token losses, by sizes of the whole optimiser step.

Implementations use one name for several of them, and some take the mean in each micro-batch, where
it depends on the micro-batch size. Here every mean is over the step, whoever holds its groups.
"""

from __future__ import annotations

from torch import Tensor

from conspo_study.objective.batch import GroupBatch


def token_mean(batch: GroupBatch, loss_T: Tensor) -> Tensor:
    """Every token of the step weighs the same: long responses weigh more than short ones."""
    return loss_T.sum() / batch.totals.tokens


def sequence_mean(batch: GroupBatch, loss_T: Tensor) -> Tensor:
    """Every rollout weighs the same, and so does every token of a rollout."""
    return batch.rollout_mean(loss_T).sum() / batch.totals.rollouts


def group_token_mean(batch: GroupBatch, loss_T: Tensor) -> Tensor:
    """Every group weighs the same, and so does every token of a group."""
    tokens_Q = batch.group_sum(batch.lengths_B)
    return (batch.group_sum(batch.rollout_sum(loss_T)) / tokens_Q).sum() / batch.totals.groups
