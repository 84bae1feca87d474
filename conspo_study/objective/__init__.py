"""Objectives: pure functions from the log-probabilities of a batch of groups to a loss.

`token_weights` differentiates one by the log-probabilities, for an exact gradient in micro-batches
(`conspo_study.update.gradient`). An objective of your own needs `GroupBatch`, `Progress`,
`ObjectiveOutput`, `register`, and the parts of metrics: `mean_of`, `peak_of`, `least_of`,
`of_the_step`.
"""

# Importing an objective's module registers it.
from conspo_study.objective import (
    cispo,
    conspo,
    conspo_clipped_ratio,
    conspo_linear,
    dapo,
    disco,
    dppo,
    dr_grpo,
    dro,
    gmpo,
    grpo,
    gspo,
    luspo,
    maxrl,
    reinforce,
    rloo,
    sapo,
    vespo,
)
from conspo_study.objective.batch import GroupBatch, Progress, Totals
from conspo_study.objective.output import ObjectiveOutput, least_of, mean_of, of_the_step, peak_of
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
    "dppo",
    "dr_grpo",
    "dro",
    "gmpo",
    "grpo",
    "gspo",
    "least_of",
    "luspo",
    "maxrl",
    "mean_of",
    "objective_named",
    "objective_of",
    "of_the_step",
    "peak_of",
    "register",
    "reinforce",
    "rloo",
    "sapo",
    "token_weights",
    "vespo",
]
