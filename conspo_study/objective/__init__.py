"""Objectives: pure functions from the log-probabilities of a batch of groups to a loss."""

from conspo_study.objective import conspo, grpo  # registers the built-in objectives
from conspo_study.objective.base import (
    GroupBatch,
    Objective,
    ObjectiveOutput,
    Progress,
    Totals,
    objective_named,
    register,
)

__all__ = [
    "GroupBatch",
    "Objective",
    "ObjectiveOutput",
    "Progress",
    "Totals",
    "conspo",
    "grpo",
    "objective_named",
    "register",
]
