"""Objectives: pure functions from the log-probabilities of a batch of groups to a loss."""

# Importing an objective's module registers it.
from conspo_study.objective import (
    cispo,
    conspo,
    conspo_clipped_ratio,
    conspo_linear,
    dapo,
    disco,
    dr_grpo,
    gmpo,
    grpo,
    gspo,
    sapo,
)
from conspo_study.objective.base import GroupBatch, ObjectiveOutput, Progress, Totals
from conspo_study.objective.registry import Objective, objective_named, objective_of, register
from conspo_study.objective.token_weights import TokenWeights, token_weights

__all__ = [
    "GroupBatch",
    "Objective",
    "ObjectiveOutput",
    "Progress",
    "TokenWeights",
    "Totals",
    "cispo",
    "conspo",
    "conspo_clipped_ratio",
    "conspo_linear",
    "dapo",
    "disco",
    "dr_grpo",
    "gmpo",
    "grpo",
    "gspo",
    "objective_named",
    "objective_of",
    "register",
    "sapo",
    "token_weights",
]
